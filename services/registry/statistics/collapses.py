"""What is told of collapse: how novel each watched cycle was, and what the run did about it."""

from collections.abc import Iterable, Iterator

from archloop.contracts.spec import RunSpec
from archloop.numerals import percent
from services.registry.control.collapse import widened
from services.registry.statistics.summary import CycleSummary


def rows(begun: Iterable[CycleSummary], spec: RunSpec) -> list[dict[str, str]]:
    """Return a row for each cycle that was watched; none for a run that is not."""
    watched = [(cycle.cycle, cycle.collapse) for cycle in begun if cycle.collapse]
    return [
        {
            "cycle": str(cycle),
            "novelty": percent(each.novelty),
            "step": str(each.step),
            "then": ", ".join(_otherwise(spec, each.step)) or "as asked",
        }
        for cycle, each in watched
    ]


def _otherwise(spec: RunSpec, step: int) -> Iterator[str]:
    """Yield what is otherwise at this step than the run was asked to be."""
    then = widened(spec, step)
    if then.generation.temperature != spec.generation.temperature:
        yield f"temperature {then.generation.temperature:g}"
    if then.selection.replay != spec.selection.replay:
        yield f"{then.selection.replay} replayed"
    if then.generation.parents != spec.generation.parents:
        yield f"parents: {then.generation.parents}"
