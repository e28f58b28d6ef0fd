"""How well one ranking predicts another."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

_LEAST = 4


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
