"""Which entries may be near, and how near each can be at most.

Of a set x and a threshold t, every set at or above t has at least one of any (1 - t)|x| + 1 elements of x: the
prefix filter of set similarity joins (Bayardo et al., Scaling up all pairs similarity search, 2007). So the rarest
keys of x are looked up. What an entry has of these, and the sizes of both, bound its similarity; an entry whose
bound is below the threshold needs no comparison. Where too many are left, more keys are looked up.
"""

from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from services.novelty.columns import WORD, Bits, Ranges, counts_at, highest, packed, places, summed, totals
from services.novelty.segments import Facts, Keys, Segment
from services.novelty.shingles import Sketch

Rows = NDArray[np.int64]
_NEVER = 1 << 40
_CHEAP = 2048
_SPREAD = 16
_SAMPLES = 3
_LIKELY = 128
_FEW = 32
_AT_ONCE = 32


class Query(NamedTuple):
    """What is looked for: entries like these keys, in a run or, where that is None, in all."""

    keys: Keys
    sketch: Sketch
    run: int | None
    threshold: float

    @property
    def prefix(self) -> int:
        """So many keys that an entry with none of them is below the threshold; all, if there is no such number."""
        size = len(self.keys)
        prefix = size - int(self.threshold * size)
        while prefix < size and (size - prefix) / size >= self.threshold:
            prefix += 1
        return prefix


class Hits(NamedTuple):
    """Rows, how many of the keys looked up each has, and how many keys were not looked up."""

    rows: Rows
    counts: Rows
    unseen: int

    def bounds(self, query: Query, facts: Facts) -> NDArray[np.float64]:
        """The similarity that each row has at most."""
        sizes, size = facts.sizes[self.rows].astype(np.int64), len(query.keys)
        shared = np.minimum(self.counts + self.unseen, np.minimum(sizes, size))
        bounds: NDArray[np.float64] = shared / (sizes + size - shared)
        return bounds

    def of(self, chosen: NDArray[np.bool_] | Rows) -> "Hits":
        """Some of them."""
        return Hits(self.rows[chosen], self.counts[chosen], self.unseen)

    def within(self, query: Query, facts: Facts) -> "Hits":
        """Those of the run alone."""
        return self if query.run is None else self.of(facts.runs[self.rows] == np.uint64(query.run))

    def nearest(self, query: Query, facts: Facts) -> Rows:
        """The rows with the highest bounds, the earliest of equals."""
        if len(self.rows) <= _LIKELY:
            return self.rows
        return self.rows[(-self.bounds(query, facts)).argsort(kind="stable")[:_LIKELY]]

    def possible(self, query: Query, facts: Facts) -> "Hits":
        """Those that may reach the threshold."""
        return self.of(self.bounds(query, facts) >= query.threshold)


class Search(Protocol):
    """The search in one stretch of the order of judgement, from the cheap to the thorough."""

    facts: Facts

    def close(self) -> Rows:
        """Rows that share what is rare."""

    def alike(self) -> Rows:
        """Rows that seem to share most of everything."""

    def possible(self) -> Rows:
        """Every row that may reach the threshold, and few others."""

    def first(self) -> Rows:
        """The first row in scope, if there is one."""


class SegmentSearch:
    """In a segment. Rare keys are looked up at once: all of the prefix, and more where they are cheap."""

    def __init__(self, segment: Segment, query: Query) -> None:
        self._segment, self._query, self.facts = segment, query, segment.facts
        which, at = segment.common.find(query.keys)
        self._common = at[segment.common.frequencies[at].argsort(kind="stable")]
        self._hits = self._rare(which).within(query, self.facts)

    def close(self) -> Rows:
        """See the protocol."""
        return self._hits.nearest(self._query, self.facts)

    def alike(self) -> Rows:
        """See the protocol. Told by some of the common keys, of all frequencies; by more where these do not tell."""
        chosen = self._scope
        for first in range(min(_SAMPLES, len(self._common))):
            sample = self._common[first :: max(_SAMPLES, len(self._common) // _SPREAD)]
            chosen = highest(self._summed(sample), chosen, _LIKELY)
            if int(np.bitwise_count(chosen).sum()) <= 2 * _LIKELY:
                break
        return places(chosen)[: 2 * _LIKELY]

    def possible(self) -> Rows:
        """See the protocol."""
        query, looked_up = self._query, max(0, self._query.prefix - len(self._query.keys) + self._hits.unseen)
        hits = self._anywhere(self._common[:looked_up]) if looked_up else self._hits
        hits = hits.possible(query, self.facts)
        while len(hits.rows) > _FEW and looked_up < len(self._common):
            hits = self._there(hits, self._common[looked_up : looked_up + _AT_ONCE]).possible(query, self.facts)
            looked_up += _AT_ONCE
        return hits.rows

    def first(self) -> Rows:
        """See the protocol."""
        return places(self._scope)[:1]

    def _anywhere(self, columns: Rows) -> Hits:
        """All rows that can reach the threshold with what they have of the rare keys and of these."""
        counts = totals(self._summed(columns))
        counts[self._hits.rows] += self._hits.counts.astype(counts.dtype)
        unseen = self._hits.unseen - len(columns)
        # Even a subset of x must have t|x| of its elements.
        least = max(1, int(self._query.threshold * len(self._query.keys)) - unseen)
        rows = np.flatnonzero(counts >= least)
        return Hits(rows, counts[rows].astype(np.int64), unseen).within(self._query, self.facts)

    def _there(self, hits: Hits, columns: Rows) -> Hits:
        """The same rows, with what they have of these keys too."""
        counts = counts_at(self._segment.common.bitmaps, columns, hits.rows)
        return Hits(hits.rows, hits.counts + counts, hits.unseen - len(columns))

    @cached_property
    def _scope(self) -> Bits:
        if self._query.run is None:
            return np.full(self._segment.size // WORD, ~np.uint64(0))
        scope: Bits = packed((self.facts.runs == np.uint64(self._query.run)).view(np.uint8)[None])[0]
        return scope

    def _summed(self, columns: Rows) -> list[Bits]:
        return summed([self._segment.common.bitmaps[column] for column in columns])

    def _rare(self, common: Rows) -> Hits:
        size, query, rare = len(self._query.keys), self._query, self._segment.rare
        lists = rare.lists(query.keys)
        lists.lengths[common] = _NEVER
        order = lists.lengths.argsort(kind="stable")[: size - len(common)]
        lengths = lists.lengths[order]
        cheap = int(lengths.cumsum().searchsorted(_CHEAP, side="right"))
        taken = max(cheap, min(query.prefix, len(order)))
        rows = rare.rows[Ranges(lists.starts[order[:taken]], lengths[:taken]).places()]
        rows.sort()
        heads = np.flatnonzero(np.diff(rows, prepend=rows[:1] + np.uint32(1)))
        return Hits(rows[heads].astype(np.int64), np.diff(heads, append=len(rows)), size - taken)


class TailSearch:
    """In the tail, where all keys are looked up in all entries."""

    def __init__(self, hits: Hits, facts: Facts, query: Query) -> None:
        self._hits, self._query, self.facts = hits.within(query, facts), query, facts

    def close(self) -> Rows:
        """See the protocol."""
        return self._hits.nearest(self._query, self.facts)

    def alike(self) -> Rows:
        """See the protocol."""
        return self._hits.rows[:0]

    def possible(self) -> Rows:
        """See the protocol."""
        return self._hits.possible(self._query, self.facts).rows

    def first(self) -> Rows:
        """See the protocol."""
        return self._hits.rows[:1]
