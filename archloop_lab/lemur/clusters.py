"""Near-copies of near-copies: which architectures hang together, at or above a Jaccard similarity."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.novelty.features import Features
from services.novelty.shingles import jaccard

_DEVIATIONS = 4.0


class Nearest(NamedTuple):
    """The row most similar, and its exact similarity."""

    row: int
    similarity: float


def clusters(described: Sequence[Features], threshold: float) -> list[int]:
    """Return for each row the first row of its connected component.

    Compared by their signatures first, all earlier ones at once; exactly where these say that it may be enough (within
    four standard deviations of the estimate, which overlooks 3 pairs in 100,000 that lie just at the threshold); and
    never where the two hang together already. Components are few and large in LEMUR, so little is left to compare.
    """
    if not described:
        return []
    signatures = np.stack([each.signature for each in described])
    enough = _enough(threshold, signatures.shape[1])
    roots = np.arange(len(described))
    for row in range(1, len(described)):
        agreement = np.count_nonzero(signatures[:row] == signatures[row], axis=1)
        likely = np.flatnonzero(agreement >= enough)
        _connect(row, likely[np.argsort(-agreement[likely], kind="stable")], roots, described, threshold)
    found: list[int] = roots.tolist()
    return found


def nearest(of: Features, among: Sequence[int], described: Sequence[Features]) -> Nearest:
    """Find the most similar of these rows, the first of equals."""
    compared = (Nearest(row, jaccard(described[row].shingles, of.shingles)) for row in among)
    return max(compared, key=lambda each: each.similarity)


def _enough(threshold: float, permutations: int) -> float:
    """Return how many of so many hash values agree even in an unlucky pair at the threshold."""
    deviation = math.sqrt(threshold * (1 - threshold) * permutations)
    return threshold * permutations - _DEVIATIONS * deviation


def _connect(
    row: int, likely: NDArray[np.intp], roots: NDArray[np.intp], described: Sequence[Features], threshold: float
) -> None:
    """Merge the row's component with those of the likely ones that are similar enough, changing `roots`."""
    while len(likely := likely[roots[likely] != roots[row]]):
        other, likely = likely[0], likely[1:]
        if jaccard(described[other].shingles, described[row].shingles) >= threshold:
            first, second = sorted((roots[row], roots[other]))
            roots[roots == second] = first
