"""An archive of cells (MAP-Elites, Mouret and Clune 2015): networks of a family, size and cost compete with each other.

Pure functions. Cells that are families alone are what `quota` has always counted by.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from archloop.contracts.spec import SelectionSpec
from archloop.contracts.values import Family
from services.registry.control.scored import Scored, best_first

_UNKNOWN = -1


class Cell(NamedTuple):
    """A cell: `size` and `cost` are the whole part of log2 of parameters and FLOPs, -1 where those are unknown."""

    family: Family
    size: int = 0
    cost: int = 0


Key = Callable[[Scored], Cell]


def cell(scored: Scored) -> Cell:
    """Return the cell that the network belongs to."""
    return Cell(scored.family, _bin(scored.parameters), _bin(scored.flops))


def family(scored: Scored) -> Cell:
    """Return the one cell of the network's family, whatever its size and cost."""
    return Cell(scored.family)


def key(spec: SelectionSpec) -> Key:
    """Return what the run tells its cells by."""
    return cell if spec.archive == "cells" else family


def cells(scored: Iterable[Scored], by: Key = cell) -> dict[Cell, list[Scored]]:
    """Sort networks into cells, each best first."""
    found: defaultdict[Cell, list[Scored]] = defaultdict(list)
    for each in best_first(scored):
        found[by(each)].append(each)
    return dict(sorted(found.items()))


def elites(scored: Iterable[Scored]) -> list[Scored]:
    """Return the best network of each cell, best first."""
    return best_first(members[0] for members in cells(scored).values())


class Quality(NamedTuple):
    """What an archive holds: the number of cells that are not empty, and the sum of their elites' accuracies."""

    coverage: int
    qd_score: float


def quality(scored: Iterable[Scored]) -> Quality:
    """Measure an archive."""
    best = elites(scored)
    return Quality(len(best), sum(each.accuracy for each in best))


def _bin(number: float) -> int:
    return math.floor(math.log2(max(1.0, number))) if math.isfinite(number) else _UNKNOWN
