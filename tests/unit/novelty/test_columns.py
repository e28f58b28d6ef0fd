import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.novelty.columns import Ranges, counts_at, highest, packed, places, summed, totals, unpacked


def matrix(lines: int, rows: int, seed: int, share: float = 0.4) -> np.ndarray:
    return (np.random.default_rng(seed).random((lines, rows)) < share).astype(np.uint8)


@pytest.mark.parametrize("lines", [1, 2, 3, 4, 7, 8, 16, 31, 100, 300])
def test_sums_of_bitmaps_are_those_of_the_numbers(lines):
    ones = matrix(lines, 192, lines)
    digits, expected = summed(list(packed(ones))), ones.sum(axis=0)
    assert totals(digits).tolist() == expected.tolist()


@pytest.mark.parametrize("rows", [[], [0], [5, 63, 64, 191], list(range(0, 192, 3))])
@pytest.mark.parametrize("lines", [1, 5, 32, 300])
def test_counts_at_some_rows_are_those_of_all(lines, rows):
    ones, chosen = matrix(400, 192, lines), np.arange(lines) + 50
    expected = ones[chosen].sum(axis=0)[rows]
    assert counts_at(packed(ones), chosen, np.array(rows, dtype=np.int64)).tolist() == expected.tolist()


@pytest.mark.parametrize("lines", [1, 3, 16, 40])
@pytest.mark.parametrize("wanted", [1, 10, 64, 500])
def test_the_highest_are_all_above_a_sum_and_no_fewer_than_wanted(lines, wanted):
    ones = matrix(lines, 256, lines + wanted)
    among = packed(matrix(1, 256, wanted, 0.7))[0]
    sums, rows = ones.sum(axis=0), places(among)
    chosen = places(highest(summed(list(packed(ones))), among, wanted))
    lowest = sorted(sums[rows], reverse=True)[: min(wanted, len(rows))][-1]
    assert len(chosen) >= min(wanted, len(rows))
    assert chosen.tolist() == [row for row in rows if sums[row] >= lowest]


def test_bits_come_back_as_they_were():
    ones = matrix(5, 128, 1)
    assert np.array_equal(unpacked(packed(ones)), ones)
    assert places(packed(ones)[2]).tolist() == np.flatnonzero(ones[2]).tolist()


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 6)), max_size=12))
def test_places_of_ranges_are_theirs_in_order(stretches):
    starts, lengths = (np.array([pair[at] for pair in stretches], dtype=np.int64) for at in (0, 1))
    expected = [place for start, length in stretches for place in range(start, start + length)]
    assert Ranges(starts, lengths).places().tolist() == expected
