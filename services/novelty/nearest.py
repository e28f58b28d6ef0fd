"""The nearest of the entries that a search offers, compared in the order in which they are likely to be it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from services.novelty.kept import Entries, Entry
from services.novelty.search import Query, Rows, Search
from services.novelty.shingles import jaccard

_COMPARED = 8
_AT_ONCE = 32
_AS_NEAR_AS_CAN_BE = 0.98


class Part(NamedTuple):
    """The search in a stretch of the order of judgement, which begins at a position."""

    base: int
    search: Search


class Found(NamedTuple):
    """An entry and its exact similarity. The greater of two is the nearer, of equally near ones the earlier."""

    similarity: float
    earliness: int
    candidate: str


class Comparison:
    """Of one entry with those of the parts; none is compared twice."""

    def __init__(self, entry: Entry, query: Query, parts: Sequence[Part], entries: Entries) -> None:
        self._entry, self._query, self._parts, self._entries = entry, query, parts, entries
        self._compared: set[int] = set()
        self._best: Found | None = None

    def nearest(self) -> Found | None:
        """The nearest; at or above the threshold if any entry is. None if there are no entries in scope."""
        self._compare(self._ranked(lambda search: search.close())[:_COMPARED])
        if self._best is None or self._best.similarity < _AS_NEAR_AS_CAN_BE:
            self._compare(self._ranked(lambda search: search.alike())[:_COMPARED])
        if not self._is_near():
            self._compare_until_near(self._ranked(lambda search: search.possible()))
        if self._best is None:
            self._compare(self._ranked(lambda search: search.first())[:1])
        return self._best

    def _is_near(self) -> bool:
        return self._best is not None and self._best.similarity >= self._query.threshold

    def _compare_until_near(self, positions: Sequence[int]) -> None:
        for start in range(0, len(positions), _AT_ONCE):
            self._compare(positions[start : start + _AT_ONCE])
            if self._is_near():
                break

    def _compare(self, positions: Sequence[int]) -> None:
        self._compared.update(positions)
        for kept in self._entries.kept(positions):
            found = Found(jaccard(kept.shingles, self._entry.shingles), -kept.position, kept.candidate)
            self._best = max(found, self._best or found)

    def _ranked(self, rows_of: Callable[[Search], Rows]) -> list[int]:
        """Positions that were not compared yet; first where the signatures agree most, of these the earliest."""
        rows = [rows_of(part.search) for part in self._parts]
        sketches = [part.search.facts.sketches[found] for part, found in zip(self._parts, rows, strict=True)]
        differing = np.count_nonzero(np.concatenate(sketches) != self._query.sketch, axis=1)
        positions = np.concatenate([found + part.base for part, found in zip(self._parts, rows, strict=True)])
        ranked = positions[np.lexsort((positions, differing))].tolist()
        return [position for position in ranked if position not in self._compared]
