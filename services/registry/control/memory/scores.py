"""Strategy `scores`: the best networks, and the worst of those that are worse beyond the noise. Pure functions."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from services.registry.control.scored import Scored, best_first, beyond_noise

BEST = 12  # networks that prompts choose from
WORST = 4
_OF_A_FAMILY = 3


class Extremes(NamedTuple):
    """The best networks, best first, and the worst, worst first."""

    best: tuple[Scored, ...] = ()
    worst: tuple[Scored, ...] = ()


def extremes(scored: Iterable[Scored]) -> Extremes:
    """Return the best of any family, so that one family is not all that is remembered, and the worst."""
    ranked = best_first(scored)
    return Extremes(tuple(islice(_mixed(ranked), BEST)), tuple(ranked[: -WORST - 1 : -1]))


def best_and_worst(cycles: Sequence[Extremes], images: int) -> Extremes:
    """Return the extremes of all cycles; of the worst only what is worse than each of the best beyond the noise.

    Args:
        cycles: The extremes of each cycle.
        images: The number of images that accuracies are measured on.

    """
    best = extremes(each for cycle in cycles for each in cycle.best).best
    worst = extremes(each for cycle in cycles for each in cycle.worst).worst
    weakest = min((each.accuracy for each in best), default=0.0)
    return Extremes(best, tuple(each for each in worst if beyond_noise(weakest, each.accuracy, images)))


def _mixed(ranked: Sequence[Scored]) -> Iterable[Scored]:
    seen: dict[str, int] = {}
    for each in ranked:
        seen[each.family] = seen.get(each.family, 0) + 1
        if seen[each.family] <= _OF_A_FAMILY:
            yield each
