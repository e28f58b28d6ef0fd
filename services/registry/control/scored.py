"""A candidate as selection, parents and the archive compare it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from archloop.contracts.values import Family


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with what is compared. An unknown size counts as infinite."""

    candidate_id: str
    cycle: int
    index: int
    accuracy: float
    family: Family
    parameters: float = math.inf
    flops: float = math.inf


def best_first(scored: Iterable[Scored]) -> list[Scored]:
    """Sort by accuracy, the best first; ties by cycle and index."""
    return sorted(scored, key=lambda s: (-s.accuracy, s.cycle, s.index))
