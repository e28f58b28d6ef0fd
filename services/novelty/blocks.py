"""Judged entries in arrays, sorted by the sizes of their shingle sets, with the sketches that estimate similarity."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.novelty.shingles import GLIMPSE, WORDS, Parities, Shingles, Sketch

LARGEST = (1 << 32) - 1
Rows = NDArray[np.int64]


class Row(NamedTuple):
    """An entry without its shingles: their number, its place in the order of judgement, its run and its sketches."""

    size: int
    place: int
    run: int
    sketch: Sketch
    glimpse: Parities
    parities: Parities


class Block(NamedTuple):
    """The rows of many entries as columns, sorted by size and then by place.

    `glimpses` are the first words of the parity sketches. They lie in memory column by column, because a scan takes one
    word of all entries at a time. `parities` are the other words.
    """

    sizes: NDArray[np.uint32]
    places: NDArray[np.uint32]
    runs: NDArray[np.uint64]
    sketches: NDArray[np.uint8]
    glimpses: NDArray[np.uint64]
    parities: NDArray[np.uint64]

    @property
    def length(self) -> int:
        """Return the number of entries."""
        return len(self.sizes)

    def packed(self) -> bytes:
        """Serialise the block for `unpacked`."""
        file = io.BytesIO()
        np.savez(file, **self._asdict())
        return file.getvalue()

    def between(self, least: int, most: int) -> "Block":
        """Return the entries whose size is at least `least` and below `most`."""
        first, last = self.sizes.searchsorted(np.array((least, most), dtype=np.uint32))
        return self.of(slice(first, last))

    def in_order(self) -> "Block":
        """Return the block sorted, whatever order it is in."""
        whole = self.of(np.lexsort((self.places, self.sizes)))
        return whole._replace(glimpses=np.asfortranarray(whole.glimpses))

    def of(self, rows: Rows | slice) -> "Block":
        """Return some of the rows."""
        return Block(*(part[rows] for part in self))  # type: ignore[arg-type]


class Tail:
    """A block that grows entry by entry, up to its capacity."""

    def __init__(self, capacity: int, permutations: int) -> None:
        self._count = 0
        self._room = Block(
            np.zeros(capacity, dtype=np.uint32),
            np.zeros(capacity, dtype=np.uint32),
            np.zeros(capacity, dtype=np.uint64),
            np.zeros((capacity, permutations), dtype=np.uint8),
            np.zeros((capacity, GLIMPSE), dtype=np.uint64, order="F"),
            np.zeros((capacity, WORDS - GLIMPSE), dtype=np.uint64),
        )

    @property
    def block(self) -> Block:
        """Return a view of the entries so far; `add` changes it."""
        return self._room.of(slice(self._count))

    def add(self, row: Row) -> None:
        """Insert an entry at its place in the order of sizes."""
        at, end = int(self.block.sizes.searchsorted(row.size, side="right")), self._count
        for part, value in zip(self._room, row, strict=True):
            part[at + 1 : end + 1] = part[at:end]  # type: ignore[index]
            part[at] = value  # type: ignore[index]
        self._count += 1


def unpacked(packed: bytes) -> Block | None:
    """Deserialise a block; return None if another version packed it."""
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        return Block(**arrays) if set(arrays) == set(Block._fields) else None


def size_of(of: Shingles) -> int:
    """Count shingles; an empty set counts as one shingle of its own, since only two empty sets are alike."""
    return max(1, len(of))


def block_of(rows: Sequence[Row]) -> Block:
    """Make a block of these entries."""
    kinds = np.uint32, np.uint32, np.uint64, np.uint8, np.uint64, np.uint64
    columns = zip(zip(*rows, strict=True), kinds, strict=True)
    return Block(*(np.array(column, dtype=kind) for column, kind in columns)).in_order()


def joined(blocks: Sequence[Block]) -> Block:
    """Merge blocks into one."""
    return Block(*map(np.concatenate, zip(*blocks, strict=True))).in_order()
