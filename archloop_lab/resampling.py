"""Bootstrap (percentile) intervals of differences, and of how well one ranking predicts another.

Pure functions: equal values give equal intervals; undefined is None, never NaN.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from services.registry.statistics.intervals import Interval

RESAMPLES = 9999
_LEAST = 4
Statistic = Literal["mean", "median"]
_STATISTICS: dict[Statistic, Callable[..., Any]] = {"mean": np.mean, "median": np.median}


def difference(
    values: Sequence[float], others: Sequence[float], statistic: Statistic = "mean", *, seed: int = 0
) -> Interval | None:
    """Return the percentile 95 % interval of `values` minus `others` by the statistic, each resampled by itself.

    None where either has fewer than two values. A difference of shares is one of means of zeros and ones;
    `intervals.newcombe` is closer where these are few.
    """
    if min(len(values), len(others)) < 2:
        return None
    of = _STATISTICS[statistic]
    found = stats.bootstrap(
        [np.asarray(values, dtype=float), np.asarray(others, dtype=float)],
        lambda left, right, axis: of(left, axis=axis) - of(right, axis=axis),
        n_resamples=RESAMPLES,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


class Agreement(NamedTuple):
    """Spearman's rho with a 95 % bootstrap interval, and Kendall's tau-b; from -1 to 1."""

    rho: float
    low: float
    high: float
    tau: float
    size: int

    def __str__(self) -> str:
        return f"ρ {self.rho:.2f} [{self.low:.2f} to {self.high:.2f}], τ {self.tau:.2f} (n = {self.size})"


def agreement(one: Sequence[float], other: Sequence[float], seed: int = 0) -> Agreement | None:
    """Compare two rankings of the same things; None below four of them, or where all of a ranking are equal."""
    if len(one) < _LEAST or len(set(one)) == 1 or len(set(other)) == 1:
        return None
    sample = stats.bootstrap(
        (np.asarray(one), np.asarray(other)), _rho, paired=True, vectorized=False, n_resamples=2000,
        method="percentile", rng=np.random.default_rng(seed),
    )  # fmt: skip
    low, high = sample.confidence_interval
    return Agreement(
        rho=_rho(np.asarray(one), np.asarray(other)),
        low=float(low),
        high=float(high),
        tau=float(stats.kendalltau(one, other).statistic),
        size=len(one),
    )


def _rho(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return Spearman's ρ; 0 of a resample in which all are equal, for it orders nothing."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(stats.spearmanr(one, other).statistic)
