"""Bootstrap intervals: against theory, and against themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from archloop_lab.resampling import difference
from services.registry.statistics.intervals import newcombe

ACCURACIES = st.lists(st.floats(0, 1), min_size=2, max_size=40)


def test_the_same_values_give_the_same_interval_and_another_seed_nearly_so() -> None:
    values, others = np.random.default_rng(1).uniform(size=(2, 64)).tolist()
    first = difference(values, others)
    assert first == difference(values, others)
    assert difference(values, others, seed=7) == pytest.approx(first, abs=0.03)


def test_below_two_values_nothing_is_claimed() -> None:
    assert difference([], []) is None
    assert difference([0.5], [0.5, 0.6]) is None
    assert difference([0.5, 0.6], [0.5]) is None


def test_values_that_are_all_the_same_have_an_interval_of_no_width() -> None:
    assert difference([0.75] * 3, [0.25] * 4) == (0.5, 0.5)


@settings(max_examples=20, deadline=None)
@given(ACCURACIES, ACCURACIES)
def test_the_interval_of_a_difference_of_medians_lies_within_those_of_the_values(
    values: list[float], others: list[float]
) -> None:
    interval = difference(values, others, "median")
    assert interval is not None
    least, most = min(values) - max(others), max(values) - min(others)
    assert least - 1e-12 <= interval.low <= interval.high <= most + 1e-12


def test_a_difference_of_means_has_the_interval_of_welch() -> None:
    rng = np.random.default_rng(3)
    left, right = rng.normal(0.6, 0.1, 300), rng.normal(0.4, 0.2, 200)
    welch = stats.ttest_ind(left, right, equal_var=False).confidence_interval()
    assert difference(list(left), list(right)) == pytest.approx((welch.low, welch.high), abs=3e-3)


def test_a_difference_of_shares_agrees_with_newcombe_where_there_are_many() -> None:
    left, right = [1.0] * 240 + [0.0] * 160, [1.0] * 120 + [0.0] * 280
    assert difference(left, right) == pytest.approx(newcombe(240, 400, 120, 400), abs=5e-3)


def test_nineteen_of_twenty_intervals_of_two_equal_medians_hold_their_difference() -> None:
    rng = np.random.default_rng(4)
    samples = (rng.uniform(size=(2, 40)).tolist() for _ in range(200))
    intervals = [difference(*pair, "median", seed=n) for n, pair in enumerate(samples)]
    held = sum(interval is not None and interval.low <= 0.0 <= interval.high for interval in intervals)
    assert 180 <= held <= 198
