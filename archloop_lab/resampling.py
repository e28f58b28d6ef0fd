"""Bootstrap (percentile) intervals. Pure functions: equal values give equal intervals; undefined is None, never NaN."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from scipy import stats

from services.registry.statistics.intervals import Interval

RESAMPLES = 9999
Statistic = Literal["mean", "median"]
_STATISTICS: dict[Statistic, Callable[..., Any]] = {"mean": np.mean, "median": np.median}


def percentile_interval(values: Sequence[float], statistic: Statistic = "median", *, seed: int = 0) -> Interval | None:
    """Return the percentile 95 % interval of a statistic; None below two values."""
    return _interval([values], _STATISTICS[statistic], seed)


def difference(
    values: Sequence[float], others: Sequence[float], statistic: Statistic = "mean", *, seed: int = 0
) -> Interval | None:
    """Return the percentile 95 % interval of `values` minus `others` by the statistic, each resampled by itself.

    A difference of shares is one of means of zeros and ones; `intervals.newcombe` is closer where these are few.
    """
    of = _STATISTICS[statistic]
    return _interval([values, others], lambda left, right, axis: of(left, axis=axis) - of(right, axis=axis), seed)


def _interval(samples: Sequence[Sequence[float]], statistic: Callable[..., Any], seed: int) -> Interval | None:
    if any(len(sample) < 2 for sample in samples):
        return None
    found = stats.bootstrap(
        [np.asarray(sample, dtype=float) for sample in samples],
        statistic,
        n_resamples=RESAMPLES,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))
