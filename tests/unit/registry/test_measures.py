"""The statistics, against published or independently computed values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from services.registry.statistics.intervals import entropy_bits, mean_interval, newcombe, share, wilson

COUNTS = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (1, 49, 0.0036, 0.1069),
        (0, 50, 0.0, 0.0714),
        (50, 50, 0.9286, 1.0),
        (91, 94, 0.9103, 0.9891),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_wilson_interval(successes: int, trials: int, low: float, high: float) -> None:
    interval = wilson(successes, trials)
    assert interval is not None
    assert interval.low == pytest.approx(low, abs=1e-4)
    assert interval.high == pytest.approx(high, abs=1e-4)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_share_and_stays_within_bounds(counts: tuple[int, int]) -> None:
    successes, trials = counts
    interval = wilson(successes, trials)
    assert interval is not None
    assert 0 <= interval.low <= successes / trials <= interval.high <= 1


def test_of_nothing_nothing_is_claimed() -> None:
    assert wilson(0, 0) is None
    assert share(0, 0) is None
    assert entropy_bits([]) is None
    assert mean_interval([0.5]) is None


def test_mean_interval_is_students_t_for_few_values() -> None:
    interval = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert interval == pytest.approx((1.0368, 4.9632), abs=1e-4)


def test_mean_interval_is_normal_for_many_values() -> None:
    interval = mean_interval([0.0, 1.0] * 50)
    assert interval is not None
    assert interval.high - 0.5 == pytest.approx(1.96 * math.sqrt(0.25 * 100 / 99) / 10, abs=1e-4)


@pytest.mark.parametrize("n", range(2, 33))
def test_mean_interval_is_students_t_below_thirty_values_and_normal_from_there_on(n: int) -> None:
    values = [0.0, 1.0] + [0.5] * (n - 2)
    interval = mean_interval(values)
    assert interval is not None
    quantile = stats.t.ppf(0.975, n - 1) if n < 30 else stats.norm.ppf(0.975)
    assert (interval.high - interval.low) / 2 == pytest.approx(quantile * np.std(values, ddof=1) / n**0.5, rel=4e-5)


@pytest.mark.parametrize(("counts", "bits"), [([4], 0.0), ([1, 1], 1.0), ([2, 1, 1], 1.5), ([3, 0, 3], 1.0)])
def test_entropy(counts: list[int], bits: float) -> None:
    assert entropy_bits(counts) == pytest.approx(bits)


@given(COUNTS)
def test_wilson_interval_is_that_of_scipy(counts: tuple[int, int]) -> None:
    expected = stats.binomtest(*counts).proportion_ci(method="wilson")
    assert wilson(*counts) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=29))
def test_mean_interval_is_that_of_scipy(values: list[float]) -> None:
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    expected = (np.mean(values) - half, np.mean(values) + half)
    assert mean_interval(values) == pytest.approx(expected, abs=1e-4)  # the table has four decimals


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, method 10
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((6, 7, 2, 7), 0.0582, 0.8062),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 20), -0.1611, 0.2775),
        ((0, 10, 0, 10), -0.2775, 0.2775),
        ((10, 10, 0, 20), 0.6791, 1.0),
        ((10, 10, 0, 10), 0.6075, 1.0),
    ],
)
def test_newcombes_own_examples(counts: tuple[int, int, int, int], low: float, high: float) -> None:
    assert newcombe(*counts) == pytest.approx((low, high), abs=6e-5)


@given(COUNTS, COUNTS)
def test_a_difference_of_shares_turned_round_is_its_negative(left: tuple[int, int], right: tuple[int, int]) -> None:
    there, back = newcombe(*left, *right), newcombe(*right, *left)
    assert there is not None
    assert back is not None
    assert there == pytest.approx((-back.high, -back.low))
    assert there.low <= left[0] / left[1] - right[0] / right[1] <= there.high
    assert newcombe(*left, 0, 0) is None
