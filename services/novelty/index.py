"""The index of judged entries: sketches in memory, and exact Jaccard similarity on what they leave.

It answers two questions. *Is there a near copy?* is answered exactly, for any threshold: every entry that the sketches
do not exclude is compared (`search`). *Which is the nearest?* is answered by comparing the most similar by estimate
(`nearest`).

Shingles are read from the store only when they are compared. Answers and blocks depend on the entries and their order
alone: filling an index one by one gives the same blocks as building it at a start.
"""

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from archloop.ops.process import give_back
from services.novelty.blocks import Block, Row, Tail, block_of, joined, size_of, unpacked
from services.novelty.entries import Entries, Entry
from services.novelty.nearest import NearestSearch
from services.novelty.search import Query
from services.novelty.shingles import GLIMPSE, jaccard, parities_of, sketch_of

TAIL = 1 << 11
FULL = 1 << 16
_AT_ONCE = 1 << 12


class Nearest(NamedTuple):
    """The most similar entry in scope, the earliest of several; or, if `identical`, one that is the same network."""

    candidate: str
    similarity: float
    identical: bool


def layout(count: int) -> list[int]:
    """Return the sizes of the blocks that hold so many entries; the remainder is the tail's.

    Each block that is not full is some eight times as large as all after it, so there are few, and few entries move.
    """
    sizes, rest = [FULL] * (count // FULL), count % FULL
    while rest >= TAIL:
        step = max(TAIL, 1 << (rest // 8).bit_length() - 1)
        sizes.append(rest // step * step)
        rest %= step
    return sizes


class NoveltyIndex:
    """Entries in the order of judgement, over all runs. A search is within one run or over all."""

    def __init__(self, entries: Entries, permutations: int) -> None:
        self._entries, self._permutations = entries, permutations
        self._blocks: list[Block] = []
        self._tail = Tail(TAIL, permutations)

    def __len__(self) -> int:
        return sum(block.length for block in (*self._blocks, self._tail.block))

    def add(self, entry: Entry) -> None:
        """Append an entry."""
        self._tail.add(_row(entry, len(self)))
        if self._tail.block.length == TAIL:
            sizes = layout(len(self))
            moved = self._blocks[len(sizes) - 1 :]
            self._settle(joined([*moved, self._tail.block]), len(sizes) - 1)

    def catch_up(self) -> None:
        """Append the entries that the store has and the index has not; after a start, all."""
        count = self._entries.count()
        if count - len(self) >= TAIL:
            self._build(layout(count))
        for entry in self._entries.entries(after=len(self)):
            self.add(entry)

    def truncate(self, count: int) -> None:
        """Forget the entries after the first `count`, and perhaps some before; `catch_up` brings those back."""
        if len(self) > count:
            self._tail = Tail(TAIL, self._permutations)
        while len(self) > count:
            self._blocks.pop()

    def nearest(self, entry: Entry, *, threshold: float, run_id: str | None) -> Nearest | None:
        """Return the nearest earlier entry of the run, or of all runs if that is None; None if there is no entry."""
        identical = self._entries.identical(entry, run_id)
        if identical is not None:
            return Nearest(identical.candidate, jaccard(identical.shingles, entry.shingles), identical=True)
        run = None if run_id is None else _number(run_id)
        query = Query(_row(entry, len(self)), run, threshold)
        found = NearestSearch(entry, query, [*self._blocks, self._tail.block], self._entries).nearest()
        return None if found is None else Nearest(found.candidate, found.similarity, identical=False)

    def _settle(self, block: Block, number: int) -> None:
        """Replace the blocks from a number on, and the tail, by one block."""
        self._blocks[number:] = [block]
        self._tail = Tail(TAIL, self._permutations)
        if block.length == FULL:
            self._entries.keep_segment(number, block.packed())

    def _build(self, sizes: list[int]) -> None:
        """Build blocks of these sizes from the store."""
        kept = 0
        while kept < len(self._blocks) and self._blocks[kept].length == sizes[kept]:
            kept += 1
        self.truncate(sum(sizes[:kept]))
        for number in range(kept, len(sizes)):
            block = self._kept(number) if sizes[number] == FULL else None
            if block is None:
                self._settle(self._read(len(self), sizes[number]), number)
            else:
                self._blocks.append(block)
        give_back()

    def _kept(self, number: int) -> Block | None:
        packed = self._entries.segment(number)
        return None if packed is None else unpacked(packed)

    def _read(self, start: int, count: int) -> Block:
        rows = (_row(entry, start + n) for n, entry in enumerate(islice(self._entries.entries(after=start), count)))
        return joined([*_blocks(rows)])


def _blocks(rows: Iterator[Row]) -> Iterator[Block]:
    while some := list(islice(rows, _AT_ONCE)):
        yield block_of(some)


def _row(entry: Entry, place: int) -> Row:
    sketch, parities = sketch_of(entry.signature), parities_of(entry.shingles)
    return Row(size_of(entry.shingles), place, _number(entry.run_id), sketch, parities[:GLIMPSE], parities[GLIMPSE:])


@lru_cache
def _number(run_id: str) -> int:
    """Return a number for a run, the same at every start."""
    return int.from_bytes(hashlib.blake2b(run_id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
