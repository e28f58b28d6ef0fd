"""The search for the nearest entry: the likeliest are compared first."""

from collections.abc import Sequence
from typing import NamedTuple

from services.novelty.blocks import LARGEST, Block
from services.novelty.entries import Entries, Entry
from services.novelty.search import Query, Scan, ranked
from services.novelty.shingles import jaccard

_COMPARED = 4
_AT_ONCE = 16
_FEW = 1 << 14
"""So many are looked at all at once."""


class Found(NamedTuple):
    """An entry and its exact similarity; orders by similarity, then the earlier is the greater."""

    similarity: float
    earliness: int
    candidate: str


class NearestSearch:
    """A search for the entry nearest to one, among those of some blocks; none is compared twice."""

    def __init__(self, entry: Entry, query: Query, blocks: Sequence[Block], entries: Entries) -> None:
        self._entry, self._query, self._blocks, self._entries = entry, query, blocks, entries
        self._compared: set[int] = set()
        self._best: Found | None = None

    def nearest(self) -> Found | None:
        """Return the nearest, at or above the threshold if any entry is; None if no entry is in scope.

        Sizes bound similarities. So sets whose size excludes a near copy are scanned only if none was found, and of
        these only such as may be nearer than the best so far.
        """
        threshold = self._query.threshold
        few = sum(block.length for block in self._blocks) <= _FEW
        least, most = self._sizes(0 if few else threshold)
        scan = self._scan((least, most))
        self._compare(ranked(scan.likely(), self._query)[:_COMPARED])
        if self._similarity < threshold:
            self._compare_until_near(ranked(scan.possible(), self._query))
        if self._similarity < threshold and not few:
            smallest, largest = self._sizes(self._similarity)
            scan = self._scan((smallest, least), (most, largest))
            self._compare(ranked(scan.likely(), self._query)[:_COMPARED])
        return self._best

    @property
    def _similarity(self) -> float:
        return self._best.similarity if self._best else 0.0

    def _sizes(self, similarity: float) -> tuple[int, int]:
        """Return from which to below which size a set may be as similar."""
        size = self._query.like.size
        return int(size * similarity), int(min(size / similarity + 2, LARGEST)) if similarity else LARGEST

    def _scan(self, *sizes: tuple[int, int]) -> Scan:
        return Scan([block.between(*some) for some in sizes for block in self._blocks], self._query)

    def _compare_until_near(self, places: Sequence[int]) -> None:
        for start in range(0, len(places), _AT_ONCE):
            self._compare(places[start : start + _AT_ONCE])
            if self._similarity >= self._query.threshold:
                break

    def _compare(self, places: Sequence[int]) -> None:
        new = [place for place in places if place not in self._compared]
        self._compared.update(new)
        for kept in self._entries.kept(new):
            found = Found(jaccard(kept.shingles, self._entry.shingles), -kept.position, kept.candidate)
            self._best = max(found, self._best or found)
