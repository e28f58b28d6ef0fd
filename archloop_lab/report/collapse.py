"""The report's table of collapse: how novel each cycle was, and what the run did about it."""

from collections.abc import Iterator

from archloop.contracts.spec import RunSpec
from archloop.numerals import percent
from archloop_lab.summary import AnalysedSummary
from services.registry.control.collapse import widened


def rows(summary: AnalysedSummary) -> list[dict[str, str]]:
    """Return a row for each cycle that was watched; none for a run that is not."""
    watched = [(cycle.cycle, cycle.collapse) for cycle in summary.begun if cycle.collapse]
    return [
        {
            "cycle": str(cycle),
            "novelty": percent(each.novelty),
            "step": str(each.step),
            "then": ", ".join(_otherwise(summary.spec, each.step)) or "as asked",
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
