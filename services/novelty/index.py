"""What has been judged so far, searchable: frozen segments, a tail, and exact Jaccard.

Two questions are asked of it. *Is there a near copy?* is answered exactly, for any threshold: entries that cannot
reach it are told by what they share of the rarest shingles (`search`), and every other one is compared. *Which is
the nearest?* is answered by comparing the likeliest: of those that seem to share most, the ones whose MinHash
signatures agree most (`nearest`).

Shingles are read from the store where they are compared, and only there. The answer depends on the entries and
their order alone, and so do the segments: an index that was filled one by one is the one that a start builds.
"""

import hashlib
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from archloop.ops.memory import give_back
from services.novelty.kept import Entries, Entry
from services.novelty.nearest import Comparison, Part
from services.novelty.search import Query, SegmentSearch
from services.novelty.segments import Facts, Segment, built, keys_of, merged, unpacked_segment
from services.novelty.shingles import jaccard, sketch_of
from services.novelty.tail import Tail

TAIL = 256
SEGMENT = 1 << 18
_MANY = 16 * TAIL
_AT_ONCE = 1 << 12


class Nearest(NamedTuple):
    """The most similar entry in scope, the earliest of several, or one that is the same network: `identical`."""

    candidate: str
    similarity: float
    identical: bool


def layout(count: int) -> list[int]:
    """The sizes of the segments that hold so many entries; what is left over is the tail.

    Each that is not full is some eight times as large as all after it, so there are few, and few entries move.
    """
    sizes, rest = [SEGMENT] * (count // SEGMENT), count % SEGMENT
    while rest >= TAIL:
        step = max(TAIL, 1 << (rest // 8).bit_length() - 1)
        sizes.append(rest // step * step)
        rest %= step
    return sizes


class NoveltyIndex:
    """Entries in the order of judgement, over all runs; a search is within one run or over everything."""

    def __init__(self, entries: Entries, permutations: int) -> None:
        self._entries, self._permutations = entries, permutations
        self._segments: list[Segment] = []
        self._tail = Tail(TAIL, permutations)

    def __len__(self) -> int:
        return sum(segment.size for segment in self._segments) + len(self._tail)

    def add(self, entry: Entry) -> None:
        """Append."""
        self._tail.add(keys_of(entry.shingles), _number(entry.run_id), sketch_of(entry.signature))
        if len(self._tail) == TAIL:
            sizes = layout(len(self))
            moved = self._segments[len(sizes) - 1 :]
            self._freeze(merged([*moved, self._tail.segment()]), len(sizes) - 1)

    def catch_up(self) -> None:
        """Append what was judged meanwhile; after a start, everything."""
        count = self._entries.count()
        if count - len(self) >= _MANY:
            self._build(layout(count))
        for entry in self._entries.entries(after=len(self)):
            self.add(entry)

    def truncate(self, count: int) -> None:
        """Forget what is behind the first `count`, and perhaps some before; `catch_up` brings those back."""
        if len(self) > count:
            self._tail = Tail(TAIL, self._permutations)
        while len(self) > count:
            self._segments.pop()

    def nearest(self, entry: Entry, *, threshold: float, run_id: str | None) -> Nearest | None:
        """The nearest earlier entry of the run, or of all runs where that is None. None if there is none."""
        identical = self._entries.identical(entry, run_id)
        if identical is not None:
            return Nearest(identical.candidate, jaccard(identical.shingles, entry.shingles), identical=True)
        run = None if run_id is None else _number(run_id)
        query = Query(keys_of(entry.shingles), sketch_of(entry.signature), run, threshold)
        found = Comparison(entry, query, list(self._parts(query)), self._entries).nearest()
        return None if found is None else Nearest(found.candidate, found.similarity, identical=False)

    def _parts(self, query: Query) -> Iterator[Part]:
        base = 0
        for segment in self._segments:
            yield Part(base, SegmentSearch(segment, query))
            base += segment.size
        yield Part(base, self._tail.search(query))

    def _freeze(self, segment: Segment, place: int) -> None:
        """Let a segment, the last, stand instead of those from a place on and of the tail."""
        self._segments[place:] = [segment]
        self._tail = Tail(TAIL, self._permutations)
        if segment.size >= _MANY:
            give_back()
        if segment.size == SEGMENT:
            self._entries.keep_segment(place, segment.packed())

    def _build(self, sizes: list[int]) -> None:
        """Segments of these sizes, from what is kept."""
        kept = 0
        while kept < len(self._segments) and self._segments[kept].size == sizes[kept]:
            kept += 1
        self.truncate(sum(sizes[:kept]))
        for place in range(kept, len(sizes)):
            packed = self._entries.segment(place) if sizes[place] == SEGMENT else None
            if packed is None:
                self._freeze(self._read(len(self), sizes[place]), place)
            else:
                self._segments.append(unpacked_segment(packed))

    def _read(self, start: int, count: int) -> Segment:
        entries = islice(self._entries.entries(after=start), count)
        parts = []
        while chunk := list(islice(entries, _AT_ONCE)):
            parts.append(_segment(chunk))
        return merged(parts)


def _segment(entries: list[Entry]) -> Segment:
    keys = [keys_of(entry.shingles) for entry in entries]
    facts = Facts(
        np.array([len(one) for one in keys], dtype=np.uint32),
        np.array([_number(entry.run_id) for entry in entries], dtype=np.uint64),
        np.array([sketch_of(entry.signature) for entry in entries]),
    )
    return built(np.concatenate(keys), facts)


def _number(run_id: str) -> int:
    """A number for a run, the same at every start."""
    return int.from_bytes(hashlib.blake2b(run_id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
