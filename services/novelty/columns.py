"""Arithmetic on sets of rows: as bitmaps, many counted at once, and as stretches of one array."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint64]
WORD = 64
_BITS_A_LINE = 256
"""Reading so many single bits takes as long as adding as many whole words."""


def packed(matrix: NDArray[np.uint8]) -> Bits:
    """Lines of ones and zeros, a multiple of 64 in each, as bits."""
    return np.packbits(matrix, axis=1, bitorder="little").view(np.uint64)


def unpacked(bits: Bits) -> NDArray[np.uint8]:
    """The opposite of `packed`."""
    return np.unpackbits(bits.view(np.uint8), axis=-1, bitorder="little")


def summed(bitmaps: Sequence[Bits]) -> list[Bits]:
    """How many of the bitmaps have each bit: the binary digits of the sums, each digit a bitmap, the lowest first.

    Whole words are added: a full adder makes of three bitmaps one of the same weight and one of twice the weight.
    """
    digits, waiting = [], list(bitmaps)
    while waiting:
        carried: list[Bits] = []
        while len(waiting) > 1:
            waiting, carry = _added(waiting)
            carried.append(carry)
        digits += waiting
        waiting = carried
    return digits


def highest(digits: Sequence[Bits], among: Bits, wanted: int) -> Bits:
    """Of the bits of `among` those with the highest sums: all above a sum, `wanted` or more, and few if it can be.

    Digits are compared from the highest on, as in bit-sliced indexes (O'Neil and Quass, 1997).
    """
    above, equal = np.zeros_like(among), among
    for digit in reversed(digits):
        found = above | (equal & digit)
        if int(np.bitwise_count(found).sum()) >= wanted:
            equal = equal & digit
        else:
            above, equal = found, equal & ~digit
    return above | equal


def places(bits: Bits) -> NDArray[np.int64]:
    """Which bits are set."""
    return np.flatnonzero(unpacked(bits).view(np.bool_))


def totals(digits: Sequence[Bits]) -> NDArray[np.uint32]:
    """All sums."""
    number = np.uint8 if len(digits) <= 8 else np.uint32
    total: NDArray[np.unsignedinteger] = np.zeros(len(digits[0]) * WORD, dtype=number)
    for weight, digit in enumerate(digits):
        plane = unpacked(digit).astype(number, copy=False)
        np.left_shift(plane, number(weight), out=plane)
        np.add(total, plane, out=total)
    return total.astype(np.uint32)


def counts_at(bitmaps: Bits, lines: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """In how many of these lines of a matrix some bits are set: by adding lines, or bit by bit if those are few."""
    if len(rows) * _BITS_A_LINE > bitmaps.shape[1] * WORD:
        return totals(summed([bitmaps[line] for line in lines]))[rows].astype(np.int64)
    bits = bitmaps[lines[:, None], rows // WORD] >> (rows % WORD).astype(np.uint64) & np.uint64(1)
    counts: NDArray[np.int64] = bits.sum(axis=0, dtype=np.int64)
    return counts


def _added(waiting: list[Bits]) -> tuple[list[Bits], Bits]:
    one, two, *rest = waiting
    either = one ^ two
    if not rest:
        return [either], one & two
    three = rest.pop()
    return [*rest, either ^ three], (one & two) | (either & three)


class Ranges(NamedTuple):
    """Stretches of one array."""

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def places(self) -> NDArray[np.int64]:
        """Every index within them, one stretch after the other."""
        before = self.lengths.cumsum() - self.lengths
        return np.repeat(self.starts - before, self.lengths) + np.arange(self.lengths.sum())
