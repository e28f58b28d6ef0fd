"""Judged entries in arrays, in the order of the sizes of their sets, with the sketches that tell how alike they are."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.novelty.shingles import GLIMPSE, WORDS, Parities, Shingles, Sketch

LARGEST = (1 << 32) - 1
Rows = NDArray[np.int64]


class Row(NamedTuple):
    """An entry without its shingles: how many they are, its place in the order of judgement, its run, its sketches."""

    size: int
    place: int
    run: int
    sketch: Sketch
    glimpse: Parities
    parities: Parities


class Block(NamedTuple):
    """The same of many, a line each, the smaller sets first, of equally large ones the earlier.

    `glimpses` are the first words of the parity sketches, which lie in memory column by column: they are looked through
    a word of all entries at a time. `parities` are the other words.
    """

    sizes: NDArray[np.uint32]
    places: NDArray[np.uint32]
    runs: NDArray[np.uint64]
    sketches: NDArray[np.uint8]
    glimpses: NDArray[np.uint64]
    parities: NDArray[np.uint64]

    @property
    def length(self) -> int:
        """How many entries there are."""
        return len(self.sizes)

    def packed(self) -> bytes:
        """All of it, for `unpacked`."""
        file = io.BytesIO()
        np.savez(file, **self._asdict())
        return file.getvalue()

    def between(self, least: int, most: int) -> "Block":
        """Those of a size from `least` to below `most`."""
        first, last = self.sizes.searchsorted(np.array((least, most), dtype=np.uint32))
        return self.of(slice(first, last))

    def in_order(self) -> "Block":
        """The same, if they stood in any other order."""
        whole = self.of(np.lexsort((self.places, self.sizes)))
        return whole._replace(glimpses=np.asfortranarray(whole.glimpses))

    def of(self, rows: Rows | slice) -> "Block":
        """Some of them."""
        return Block(*(part[rows] for part in self))  # type: ignore[arg-type]


class Tail:
    """A block that grows by one entry after the other."""

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
        """What is there by now; changed by `add`."""
        return self._room.of(slice(self._count))

    def add(self, row: Row) -> None:
        """One more."""
        at, end = int(self.block.sizes.searchsorted(row.size, side="right")), self._count
        for part, value in zip(self._room, row, strict=True):
            part[at + 1 : end + 1] = part[at:end]  # type: ignore[index]
            part[at] = value  # type: ignore[index]
        self._count += 1


def unpacked(packed: bytes) -> Block | None:
    """The block that was packed; None if an earlier version packed it."""
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        return Block(**arrays) if set(arrays) == set(Block._fields) else None


def size_of(of: Shingles) -> int:
    """How many shingles there are. The empty set counts as one of its own, for only two empty sets are alike."""
    return max(1, len(of))


def block_of(rows: Sequence[Row]) -> Block:
    """These entries, in the order of their places."""
    tail = Tail(len(rows), len(rows[0].sketch))
    for row in rows:
        tail.add(row)
    return tail.block


def joined(blocks: Sequence[Block]) -> Block:
    """One block of all."""
    return Block(*map(np.concatenate, zip(*blocks, strict=True))).in_order()
