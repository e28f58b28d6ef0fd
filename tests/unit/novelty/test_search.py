"""Estimates of similarity from parities, against shingles that are thrown into classes at random."""

import numpy as np
import pytest

from services.novelty import search
from services.novelty.shingles import CLASSES, GLIMPSE

TABLES = {"at a glimpse": 64 * GLIMPSE, "in all": CLASSES}
RNG = np.random.default_rng(0)
TRIALS = 3000


def odd(shingles: int, classes: int) -> np.ndarray:
    """In how many classes an odd number of so many shingles falls, in each of many trials."""
    thrown = RNG.integers(classes, size=(TRIALS, shingles)) + classes * np.arange(TRIALS)[:, None]
    return (np.bincount(thrown.ravel(), minlength=TRIALS * classes).reshape(TRIALS, classes) % 2).sum(1)


@pytest.mark.parametrize("classes", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("shingles", [5, 60, 200])
def test_as_many_shingles_differ_as_fall_into_so_many_classes(shingles: int, classes: int) -> None:
    assert search._expected(classes)[odd(shingles, classes)].mean() == pytest.approx(shingles, rel=0.03)


@pytest.mark.parametrize("classes", TABLES.values(), ids=TABLES)
def test_any_number_of_classes_may_differ(classes: int) -> None:
    table = search._expected(classes)
    assert len(table) == classes + 1
    assert table[0] == 0
    assert np.isfinite(table).all()
    rising, full = table[: classes // 2], table[classes // 2 :]
    assert (np.diff(rising) > 0).all()
    assert (full == full[0]).all(), "half of the classes differ, however many shingles do"


@pytest.mark.parametrize(("size", "apart"), [(150, 30), (300, 100), (300, 200)])
def test_estimates_spread_as_is_reckoned(size: int, apart: int) -> None:
    sizes = np.full(TRIALS, size, dtype=np.uint32)
    estimated = search._alike(search._IN_ALL[odd(apart, CLASSES)], sizes, size)
    assert estimated.mean() == pytest.approx((2 * size - apart) / (2 * size + apart), rel=0.02)
    (spread,) = search._spread(np.array([float(apart)]), np.array([2.0 * size]))
    assert estimated.var() == pytest.approx(spread, rel=0.2)
