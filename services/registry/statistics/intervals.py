"""The statistics that a summary is made of. Pure functions; undefined is None, never NaN."""

import math
from collections.abc import Collection, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

_Z = 1.959963984540054
# Student's t at 97.5 % for 1 to 28 degrees of freedom; beyond, the normal quantile (as the paper does from n = 30).
_T = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
    *(2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484),
)


class Interval(NamedTuple):
    """A 95 % confidence interval."""

    low: float
    high: float


def wilson(successes: int, trials: int) -> Interval | None:
    """Return the score interval of a share: centre (p + z²/2n) / (1 + z²/n), within [0, 1]; None of no trials.

    Source: Wilson 1927.
    """
    if trials == 0:
        return None
    p, z2n = successes / trials, _Z**2 / trials
    centre = (p + z2n / 2) / (1 + z2n)
    half = _Z * math.sqrt(p * (1 - p) / trials + z2n / (4 * trials)) / (1 + z2n)
    return Interval(0.0 if successes == 0 else centre - half, 1.0 if successes == trials else centre + half)


def newcombe(successes: int, trials: int, other_successes: int, other_trials: int) -> Interval | None:
    """Return the interval of the first share minus the other, from the Wilson intervals of both.

    Source: Newcombe 1998, method 10.
    """
    left, right = wilson(successes, trials), wilson(other_successes, other_trials)
    if left is None or right is None:
        return None
    p, q = successes / trials, other_successes / other_trials
    return Interval(p - q - math.hypot(p - left.low, right.high - q), p - q + math.hypot(left.high - p, q - right.low))


def mean_interval(values: Sequence[float]) -> Interval | None:
    """Return the interval of a mean: Student's t below 30 values, normal from there on; None below two."""
    n = len(values)
    if n < 2:
        return None
    mean, half = fmean(values), _quantile(n - 1) * stdev(values) / math.sqrt(n)
    return Interval(mean - half, mean + half)


def welch(mean: float, interval: Interval, n: int, other: float, other_interval: Interval, m: int) -> Interval | None:
    """Return the interval of the first mean minus the other, from the intervals of both; None below two values.

    Source: Welch 1947, with Satterthwaite's degrees of freedom.
    """
    if min(n, m) < 2:
        return None
    errors = [
        (bounds.high - bounds.low) / 2 / _quantile(size - 1) for bounds, size in ((interval, n), (other_interval, m))
    ]
    a, b = (error**2 for error in errors)
    freedom = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1)) if a + b else n + m - 2
    half = _quantile(math.floor(freedom)) * math.sqrt(a + b)
    return Interval(mean - other - half, mean - other + half)


def _quantile(freedom: int) -> float:
    return _T[freedom - 1] if freedom <= len(_T) else _Z


def entropy_bits(counts: Collection[int]) -> float | None:
    """Return the Shannon entropy, in bits, of a distribution given by counts."""
    total = sum(counts)
    if total == 0:
        return None
    return sum(count / total * math.log2(total / count) for count in counts if count)


def share(part: float, whole: float) -> float | None:
    """Return the part of the whole; None where the whole is 0."""
    return part / whole if whole else None
