"""Judged entries that no longer move: an inverted index over their shingles, in arrays.

A shingle is known by the upper half of its hash, its *key*; where two share one, an entry is taken for more alike
than it is, and exact comparison tells. A key of more than one in 64 entries is *common* and kept as a bitmap over
all of them, any other is *rare* and kept as a list of rows.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.novelty.columns import WORD, Bits, Ranges, packed, unpacked
from services.novelty.shingles import Shingles

Keys = NDArray[np.uint32]
Postings = NDArray[np.uint64]
"""A key in the upper half and a row in the lower."""

_COMMON = 64
_CELLS_AT_ONCE = 1 << 24
_POSTINGS_AT_ONCE = 1 << 20
_HALF = np.uint64(32)


class Rare(NamedTuple):
    """Keys, and the rows that have them: of `keys[i]` those from `starts[i]` to `starts[i + 1]`.

    The last key stands behind all others and has no rows, so that every search ends at one.
    """

    keys: Keys
    starts: NDArray[np.uint32]
    rows: NDArray[np.uint32]

    def lists(self, keys: Keys) -> Ranges:
        """Where the rows of each key stand; nothing for one that is not here."""
        at = self.keys.searchsorted(keys)
        starts, ends = self.starts[at].astype(np.int64), self.starts[at + 1].astype(np.int64)
        return Ranges(starts, (ends - starts) * (self.keys[at] == keys))


class Common(NamedTuple):
    """Keys, in how many entries each is, and as bitmaps in which."""

    keys: Keys
    frequencies: NDArray[np.uint32]
    bitmaps: Bits

    def find(self, keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which of the keys are here, and the places of their bitmaps."""
        if not len(self.keys):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        at = np.minimum(self.keys.searchsorted(keys), len(self.keys) - 1)
        which = np.flatnonzero(self.keys[at] == keys)
        return which, at[which]


class Facts(NamedTuple):
    """Of each entry the number of its keys, its run, and its sketch."""

    sizes: NDArray[np.uint32]
    runs: NDArray[np.uint64]
    sketches: NDArray[np.uint8]


class Segment(NamedTuple):
    """A multiple of 64 entries, one after the other."""

    rare: Rare
    common: Common
    facts: Facts

    @property
    def size(self) -> int:
        """How many entries it holds."""
        return len(self.facts.sizes)

    def packed(self) -> bytes:
        """All of it, for `unpacked_segment`."""
        file = io.BytesIO()
        np.savez(file, *self.rare, *self.common, *self.facts)
        return file.getvalue()


def unpacked_segment(packed: bytes) -> Segment:
    """The segment that was packed."""
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        every = list(arrays.values())
    return Segment(Rare(*every[:3]), Common(*every[3:6]), Facts(*every[6:]))


def keys_of(of: Shingles) -> Keys:
    """The keys of a set of shingles. The empty set gets one, for only two empty sets are alike."""
    return (of >> _HALF).astype(np.uint32) if len(of) else np.zeros(1, dtype=np.uint32)


def built(keys: Keys, facts: Facts) -> Segment:
    """A segment of entries, of which the keys stand one after the other."""
    postings = keys.astype(np.uint64) << _HALF | np.repeat(np.arange(len(facts.sizes), dtype=np.uint64), facts.sizes)
    postings.sort()
    none = Common(keys[:0], keys[:0], np.zeros((0, len(facts.sizes) // WORD), dtype=np.uint64))
    return merged([Segment(_rare([postings]), none, facts)])


def merged(segments: Sequence[Segment]) -> Segment:
    """One segment of the entries of all, in their order."""
    common, candidates, others = _common(segments)
    facts = Facts(*map(np.concatenate, zip(*(segment.facts for segment in segments), strict=True)))
    return Segment(_rare(_parts(segments, candidates, others)), common, facts)


def _common(segments: Sequence[Segment]) -> tuple[Common, Keys, Postings]:
    """What is common in the whole, every key that might have been, and the postings of those that are not."""
    frequent = [s.rare.keys[:-1][np.diff(s.rare.starts[:-1]) > s.size // _COMMON] for s in segments]
    # What is common in no part is not common in the whole.
    candidates = np.unique(np.concatenate([*(segment.common.keys for segment in segments), *frequent]))
    count = sum(segment.size for segment in segments)
    at_once = _CELLS_AT_ONCE // count
    chunks = [candidates[start : start + at_once] for start in range(0, len(candidates) + 1, at_once)]
    sifted = [_sifted(_matrix(segments, keys, count), keys) for keys in chunks]
    common = Common(*map(np.concatenate, zip(*(part for part, _ in sifted), strict=True)))
    return common, candidates, np.concatenate([others for _, others in sifted])


def _matrix(segments: Sequence[Segment], keys: Keys, count: int) -> NDArray[np.uint8]:
    """Which entry has which key: ones and zeros."""
    matrix = np.zeros((len(keys), count), dtype=np.uint8)
    base = 0
    for rare, common, facts in segments:
        end = base + len(facts.sizes)
        which, at = common.find(keys)
        matrix[which, base:end] = unpacked(common.bitmaps[at])
        lists = rare.lists(keys)
        matrix[np.repeat(np.arange(len(keys)), lists.lengths), rare.rows[lists.places()] + np.int64(base)] = 1
        base = end
    return matrix


def _sifted(matrix: NDArray[np.uint8], keys: Keys) -> tuple[Common, Postings]:
    frequencies = matrix.sum(axis=1, dtype=np.uint32)
    common = frequencies > matrix.shape[1] // _COMMON
    which, rows = matrix[~common].nonzero()
    others = keys[~common][which].astype(np.uint64) << _HALF | rows.astype(np.uint64)
    return Common(keys[common], frequencies[common], packed(matrix[common])), others


def _parts(segments: Sequence[Segment], without: Keys, others: Postings) -> Iterator[Postings]:
    """The postings of all rare keys, sorted, in parts that need little memory."""
    parts = 1 + sum(len(segment.rare.rows) for segment in segments) // _POSTINGS_AT_ONCE
    edges = [(1 << 32) * part // parts for part in range(parts + 1)]
    for low, high in pairwise(edges):
        first = others.searchsorted(np.uint64(low << 32))
        last = others.searchsorted(np.uint64((high << 32) - 1), side="right")
        pieces, base = [others[first:last]], 0
        for segment in segments:
            pieces.append(_piece(segment.rare, without, low, high) + np.uint64(base))
            base += segment.size
        postings = np.concatenate(pieces)
        postings.sort()
        yield postings


def _piece(rare: Rare, without: Keys, low: int, high: int) -> Postings:
    """The postings of the keys from `low` to below `high` that are not among others."""
    first = rare.keys[:-1].searchsorted(np.uint32(low))
    last = rare.keys[:-1].searchsorted(np.uint32(high - 1), side="right")
    keys, starts = rare.keys[first:last], rare.starts[first : last + 1]
    postings = np.repeat(keys.astype(np.uint64) << _HALF, np.diff(starts)) | rare.rows[starts[0] : starts[-1]]
    excluded = np.isin(keys, without, assume_unique=True)
    return postings[~np.repeat(excluded, np.diff(starts))] if excluded.any() else postings


def _rare(parts: Iterable[Postings]) -> Rare:
    """Of sorted postings, in parts of ascending keys."""
    keys, lengths, rows = [], [], []
    for postings in parts:
        heads = np.flatnonzero(np.diff(postings >> _HALF, prepend=np.uint64(1 << 63)))
        keys.append((postings[heads] >> _HALF).astype(np.uint32))
        lengths.append(np.diff(heads, append=len(postings)))
        rows.append(postings.astype(np.uint32))
    starts = np.concatenate([np.zeros(1, dtype=np.int64), *lengths, np.zeros(1, dtype=np.int64)]).cumsum()
    end = np.array([(1 << 32) - 1], dtype=np.uint32)
    return Rare(np.concatenate([*keys, end]), starts.astype(np.uint32), np.concatenate(rows))
