"""The rung of a protocol's ladder: who was stopped there, and what both parts of a training come to."""

from archloop.contracts.values import Evaluation, Outcome, Rung
from services.evaluator import second_chance


def stopped(part: Evaluation, rung: Rung) -> Evaluation:
    """Return the evaluation of a candidate that does not go on; what it reached stands in the rung alone.

    One that failed keeps its outcome, as do those at chance and those that are suspect already.
    """
    if rung.accuracy is None:
        return part.model_copy(update={"rung": rung})
    detail = f"accuracy {rung.accuracy:.3f} after {rung.share:g} of the training images"
    if rung.bar is not None:
        detail += f", {rung.bar:.3f} was needed to go on"
    outcome = Outcome.STOPPED if part.outcome is Outcome.OK else part.outcome
    changes = {"outcome": outcome, "detail": detail, "accuracy": None, "test_accuracy": None, "rung": rung}
    return part.model_copy(update=changes)


def out_of_time(part: Evaluation, rung: Rung) -> Evaluation:
    """Return the evaluation of a candidate that took all its time for the first part."""
    changes = {"outcome": Outcome.TIMEOUT, "stage": "train", "detail": "no time was left after the first part"}
    return stopped(part, rung).model_copy(update=changes)


def together(part: Evaluation, whole: Evaluation, rung: Rung) -> Evaluation:
    """Return the evaluation of the whole training with the costs of both."""
    both = second_chance.together(part, whole, "the first part of the training images")
    return both.model_copy(update={"rung": rung})


def under(known: Evaluation, bar: float | None, chance_line: float) -> Evaluation | None:
    """Return what the same code comes to under another bar, as far as it is known; None where it must be trained."""
    if known.rung is None:
        return known
    rung = known.rung.model_copy(update={"bar": bar})
    if rung.accuracy is None:
        return known.model_copy(update={"rung": rung})
    if known.rung.passed and rung.passed:
        return known.model_copy(update={"rung": rung})
    if rung.passed:
        return None
    at_chance = rung.accuracy <= chance_line
    kept = known.outcome if known.outcome is Outcome.SUSPECT else Outcome.BELOW_CHANCE if at_chance else Outcome.OK
    return stopped(known.model_copy(update={"outcome": kept, "stage": "predict"}), rung)
