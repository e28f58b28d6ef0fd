"""Bootstrap (percentile) intervals. Pure functions: equal values give equal intervals; undefined is None, never NaN."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from scipy import stats

from services.registry.statistics.intervals import Interval

RESAMPLES = 9999
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
