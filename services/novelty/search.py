"""Upper bounds and estimates of similarities, from sketches.

Each class in which two parity sketches differ holds a shingle that only one of the sets has. So the number of differing
classes bounds a similarity from above, exactly, for any sets. It also estimates it well for similar sets; MinHash does
for dissimilar ones. The two estimates are combined, each weighed by its variance.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.novelty.blocks import LARGEST, Block, Row, Rows
from services.novelty.shingles import CLASSES, GLIMPSE, WORDS

_GLIMPSED, _LIKELY, _FEWEST = 256, 1024, 256
"""Of so many entries one is left after a glimpse, of so many one is likely; but at least so many are."""

_FEW, _SAMPLED = 1 << 14, 1 << 12
"""Of more than so many entries a sample of about so many says how similar those are that are left."""

_VALUES = 256
"""So many values a number in a MinHash sketch can have."""

_ROUNDING = 1e-6
Floats = NDArray[np.floating]
Numbers = Floats | NDArray[np.integer]
Sizes = Floats | NDArray[np.uint32]


def _expected(classes: int) -> Floats:
    """Tabulate the expected number of shingles that only one of two sets has, by the number of differing classes."""
    share = np.minimum(2 * np.arange(classes + 1) / classes, 1 - 1 / classes)
    return (-classes / 2 * np.log1p(-share)).astype(np.float32)


_AT_A_GLIMPSE = np.float32(WORDS / GLIMPSE) * _expected(64 * GLIMPSE)
_IN_ALL = _expected(CLASSES)
_AT_LEAST = np.arange(CLASSES + 1)


class Query(NamedTuple):
    """A search: entries similar to this one, in a run or, if that is None, in all."""

    like: Row
    run: int | None
    threshold: float


class Chosen(NamedTuple):
    """Some entries, and the number of classes in which each one's parity differs from the query's."""

    sizes: NDArray[np.uint32]
    places: NDArray[np.uint32]
    sketches: NDArray[np.uint8]
    differing: NDArray[np.uint16]


class _Part(NamedTuple):
    """Some entries of a block, in the order of their sizes, and the number of classes in which they differ so far."""

    block: Block
    rows: Rows | slice
    sizes: NDArray[np.uint32]
    differing: NDArray[np.uint16]

    def of(self, rows: Rows | slice) -> "_Part":
        """Return some of the entries."""
        chosen = rows if isinstance(self.rows, slice) else self.rows[rows]
        return _Part(self.block, chosen, self.sizes[rows], self.differing[rows])


class Scan:
    """A scan of the entries of some blocks that are in scope: the first words of all sketches, the rest of a few."""

    def __init__(self, blocks: Sequence[Block], query: Query) -> None:
        self._query = query
        glimpsed = [_glimpsed(block, query) for block in blocks if block.length]
        self._parts = [part for part in glimpsed if len(part.sizes)]
        self._count = sum(len(part.sizes) for part in self._parts)

    def likely(self) -> Chosen | None:
        """Return the most similar by parities."""
        wanted = max(_FEWEST, self._count // _GLIMPSED)
        parts = self._parts
        if self._count > _FEW:
            parts = self._within(_AT_A_GLIMPSE, self._usual(wanted))
        parts = [self._in_all(part) for part in self._highest(parts, _AT_A_GLIMPSE, wanted)]
        return _chosen(self._highest(parts, _IN_ALL, max(_FEWEST, self._count // _LIKELY)))

    def possible(self) -> Chosen | None:
        """Return all entries whose bound reaches the threshold."""
        size, threshold = self._query.like.size, self._query.threshold
        parts = [self._in_all(part) for part in self._within(_AT_LEAST, threshold - _ROUNDING)]
        bounds = [_alike(part.differing, part.sizes.astype(np.float64), size) for part in parts]
        return _chosen([part.of((some >= threshold).nonzero()[0]) for part, some in zip(parts, bounds, strict=True)])

    def _usual(self, wanted: int) -> float:
        """Return about what similarity so many entries reach, at a glimpse at a sample."""
        stride = self._count // _SAMPLED + 1
        sample = [part.of(slice(None, None, stride)) for part in self._parts]
        return _lowest([self._estimates(part, _AT_A_GLIMPSE) for part in sample], wanted // stride + 2)

    def _within(self, apart: Numbers, least: float) -> list[_Part]:
        """Return the entries that may be so similar, if by their differing classes they are so far apart."""
        if least <= 0:
            return self._parts
        size, share, parts = self._query.like.size, (1 - least) / (1 + least), []
        ends = np.array((max(int(size * least) - 1, 0), min(int(size / least) + 2, LARGEST)), dtype=np.uint32)
        for part in self._parts:
            first, last = part.sizes.searchsorted(ends)
            if first < last:
                most = apart.searchsorted(share * (size + int(part.sizes[last - 1])) + 1, side="right")
                parts.append(part.of(first + (part.differing[first:last] < most).nonzero()[0]))
        return [part for part in parts if len(part.sizes)]

    def _highest(self, parts: Sequence[_Part], apart: Floats, wanted: int) -> list[_Part]:
        if sum(len(part.sizes) for part in parts) <= wanted:
            return list(parts)
        estimates = [self._estimates(part, apart) for part in parts]
        lowest = _lowest(estimates, wanted)
        best = [(some >= lowest).nonzero()[0][:wanted] for some in estimates]
        return [part.of(rows) for part, rows in zip(parts, best, strict=True) if len(rows)]

    def _estimates(self, part: _Part, apart: Floats) -> Floats:
        return _alike(apart[part.differing], part.sizes, self._query.like.size)

    def _in_all(self, part: _Part) -> _Part:
        other = np.bitwise_count(part.block.parities[part.rows] ^ self._query.like.parities)
        return part._replace(differing=part.differing + other.sum(axis=1, dtype=np.uint16))


def _glimpsed(block: Block, query: Query) -> _Part:
    rows = slice(None) if query.run is None else np.flatnonzero(block.runs == np.uint64(query.run))
    differing = np.zeros(len(block.sizes[rows]), dtype=np.uint16)
    for words, word in zip(block.glimpses.T, query.like.glimpse, strict=True):
        differing += np.bitwise_count(words[rows] ^ word)
    return _Part(block, rows, block.sizes[rows], differing)


def _chosen(parts: Sequence[_Part]) -> Chosen | None:
    some = [
        Chosen(part.sizes, part.block.places[part.rows], part.block.sketches[part.rows], part.differing)
        for part in parts
        if len(part.sizes)
    ]
    return Chosen(*map(np.concatenate, zip(*some, strict=True))) if some else None


def ranked(chosen: Chosen | None, query: Query) -> list[int]:
    """Rank entries by both sketches; return their places, the most similar first, of equals the earliest."""
    if chosen is None:
        return []
    sizes, places, sketches, differing = chosen
    by_parity = np.maximum(_alike(_IN_ALL[differing], sizes, query.like.size), 0)
    equal = np.count_nonzero(sketches == query.like.sketch, axis=1) / np.float32(len(query.like.sketch))
    by_hash = np.maximum(equal - (1 - equal) / (_VALUES - 1), 0)
    off = _spread(_IN_ALL[differing], sizes + np.float32(query.like.size))
    off_hash = np.maximum(by_hash * (1 - by_hash), 0.01) / len(query.like.sketch)
    similarities = (by_parity * off_hash + by_hash * off) / (off + off_hash)
    order: list[int] = places[np.lexsort((places, -similarities))].tolist()
    return order


def _lowest(estimates: Sequence[Floats], wanted: int) -> float:
    """Return the lowest of so many of the highest; -1 if there are no more."""
    if sum(map(len, estimates)) <= wanted:
        return -1.0
    return float(np.partition(np.concatenate(estimates), -wanted)[-wanted])


def _alike(apart: Numbers, sizes: Sizes, size: int) -> Floats:
    """Return the similarity of two sets with `apart` shingles, at least the difference of sizes, not in common."""
    sizes = sizes.astype(np.float32) if sizes.dtype == np.uint32 else sizes
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
