"""Agreement of rankings, against scipy and by hand."""

import random

import pytest
from scipy import stats

from archloop_lab.resampling import agreement

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(5))
def test_rho_and_tau_are_scipys_and_lie_in_their_interval(seed: int) -> None:
    rng = random.Random(seed)
    one = [rng.randint(0, 20) / 20 for _ in range(rng.randint(5, 60))]
    other = [a + rng.gauss(0, 0.3) for a in one]
    found = agreement(one, other)
    assert found is not None
    assert found.rho == pytest.approx(stats.spearmanr(one, other).statistic)
    assert found.tau == pytest.approx(stats.kendalltau(one, other).statistic)
    assert found.low <= found.rho <= found.high
    assert found == agreement(one, other)


def test_more_networks_narrow_the_interval() -> None:
    rng = random.Random(1)
    one = [rng.random() for _ in range(200)]
    other = [a + rng.gauss(0, 0.3) for a in one]
    few, many = agreement(one[:15], other[:15]), agreement(one, other)
    assert few is not None
    assert many is not None
    assert many.high - many.low < (few.high - few.low) / 2


@pytest.mark.parametrize(("one", "other"), [([1, 2, 3], [1, 2, 3]), ([1, 1, 1, 1], [1, 2, 3, 4])])
def test_what_cannot_be_ranked_has_no_agreement(one: list[float], other: list[float]) -> None:
    assert agreement(one, other) is None
