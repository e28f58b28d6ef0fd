"""Upper bounds and estimates of similarities, from sketches.

Each class in which two parity sketches differ holds a shingle that only one of the sets has. So the number of differing
classes bounds a similarity from above, exactly, for any sets. It also estimates it well for similar sets; MinHash does
for dissimilar ones. The two estimates are combined, each weighed by its variance.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.novelty.blocks import Block, Row, Rows
from services.novelty.shingles import CLASSES, GLIMPSE, WORDS

_GLIMPSED, _LIKELY = 256, 64
_VALUES = 256
"""So many values a number in a MinHash sketch can have."""

_ROUNDING = 1e-6
Floats = NDArray[np.floating]
Numbers = Floats | NDArray[np.uint16]


def _expected(classes: int) -> Floats:
    """Tabulate the expected number of shingles that only one of two sets has, by the number of differing classes."""
    share = np.minimum(2 * np.arange(classes + 1) / classes, 1 - 1 / classes)
    return (-classes / 2 * np.log1p(-share)).astype(np.float32)


_AT_A_GLIMPSE = np.float32(WORDS / GLIMPSE) * _expected(64 * GLIMPSE)
_IN_ALL = _expected(CLASSES)


class Query(NamedTuple):
    """A search: entries similar to this one, in a run or, if that is None, in all."""

    like: Row
    run: int | None
    threshold: float


class Chosen(NamedTuple):
    """Some entries, and the number of classes in which each one's parity differs from the query's."""

    sizes: Floats
    places: NDArray[np.uint32]
    sketches: NDArray[np.uint8]
    differing: NDArray[np.uint16]


class Scan:
    """A scan of the entries of a block that are in scope: the first words of all sketches, the rest of a few."""

    def __init__(self, block: Block, query: Query) -> None:
        self._block, self._query = block, query
        self._rows = slice(None) if query.run is None else np.flatnonzero(block.runs == np.uint64(query.run))
        self._sizes = block.sizes[self._rows].astype(np.float32)
        self._differing = np.zeros(len(self._sizes), dtype=np.uint16)
        for words, word in zip(block.glimpses.T, query.like.glimpse, strict=True):
            self._differing += np.bitwise_count(words[self._rows] ^ word)

    def likely(self) -> Chosen:
        """Return the most similar by parities."""
        size = self._query.like.size
        chosen = _highest(_alike(_AT_A_GLIMPSE[self._differing], self._sizes, size), _GLIMPSED)
        differing = self._in_all(chosen)
        best = _highest(_alike(_IN_ALL[differing], self._sizes[chosen], size), _LIKELY)
        return self._chosen(chosen[best], differing[best])

    def possible(self) -> Chosen:
        """Return all entries whose bound reaches the threshold."""
        size, threshold = self._query.like.size, self._query.threshold
        chosen = np.flatnonzero(_alike(self._differing, self._sizes, size) >= threshold - _ROUNDING)
        differing = self._in_all(chosen)
        near = _alike(differing, self._sizes[chosen].astype(np.float64), size) >= threshold
        return self._chosen(chosen[near], differing[near])

    def _in_all(self, chosen: Rows) -> NDArray[np.uint16]:
        other = np.bitwise_count(self._block.parities[self._at(chosen)] ^ self._query.like.parities)
        differing: NDArray[np.uint16] = self._differing[chosen] + other.sum(axis=1, dtype=np.uint16)
        return differing

    def _chosen(self, chosen: Rows, differing: NDArray[np.uint16]) -> Chosen:
        rows = self._at(chosen)
        return Chosen(self._sizes[chosen], self._block.places[rows], self._block.sketches[rows], differing)

    def _at(self, chosen: Rows) -> Rows:
        return chosen if isinstance(self._rows, slice) else self._rows[chosen]


def ranked(chosen: Sequence[Chosen], query: Query) -> list[int]:
    """Rank entries by both sketches; return their places, the most similar first, of equals the earliest."""
    if not chosen:
        return []
    sizes, places, sketches, differing = map(np.concatenate, zip(*chosen, strict=True))
    by_parity = np.maximum(_alike(_IN_ALL[differing], sizes, query.like.size), 0)
    equal = (sketches == query.like.sketch).mean(axis=1)
    by_hash = np.maximum(equal - (1 - equal) / (_VALUES - 1), 0)
    off = _spread(_IN_ALL[differing], sizes + np.float32(query.like.size))
    off_hash = np.maximum(by_hash * (1 - by_hash), 0.01) / len(query.like.sketch)
    similarities = (by_parity * off_hash + by_hash * off) / (off + off_hash)
    order: list[int] = places[np.lexsort((places, -similarities))].tolist()
    return order


def _highest(similarities: Floats, wanted: int) -> Rows:
    if len(similarities) <= wanted:
        return np.arange(len(similarities))
    return similarities.argpartition(-wanted)[-wanted:]


def _alike(apart: Numbers, sizes: Floats, size: int) -> Floats:
    """Return the similarity of two sets with `apart` shingles, at least the difference of sizes, not in common."""
    apart = np.maximum(apart, np.abs(sizes - size))
    totals = sizes + size
    similarities: Floats = (totals - apart) / (totals + apart)
    return similarities


def _spread(distances: Floats, totals: Floats) -> Floats:
    """Return the variance of a similarity estimated from parities: that of balls thrown into urns."""
    kept = np.exp(-4 / CLASSES * distances)
    variances = np.maximum(CLASSES / 4 * (1 - kept) - distances * kept, 1) / kept
    spread: Floats = variances * (2 * totals / (totals + distances) ** 2) ** 2
    return spread
