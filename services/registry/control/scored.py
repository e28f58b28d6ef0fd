"""A candidate as selection, parents and the archive compare it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from archloop.contracts.values import Family

_SIGMAS = 2.0


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


def beyond_noise(better: float, worse: float, images: int) -> bool:
    """Return whether two accuracies on so many images differ by more than two standard deviations of sampling."""
    variance = sum(accuracy * (1 - accuracy) for accuracy in (better, worse)) / images
    return better - worse > _SIGMAS * math.sqrt(variance)


def best_first(scored: Iterable[Scored]) -> list[Scored]:
    """Sort by accuracy, the best first; ties by cycle and index."""
    return sorted(scored, key=lambda s: (-s.accuracy, s.cycle, s.index))
