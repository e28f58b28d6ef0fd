"""A measure of one group of candidates beside that of another: the difference, with its 95 % interval."""

from collections.abc import Mapping
from typing import NamedTuple

from archloop.numerals import UNKNOWN, number, percent
from services.registry.statistics.intervals import Interval, newcombe
from services.registry.statistics.rates import Rates

# Measures that are shares, and what of.
SHARES: Mapping[str, str] = {
    "valid_rate": "generated",
    "share_ge_threshold_generated": "generated",
    "share_ge_threshold_trained": "valid",
    "novelty_rate": "valid",
}


class Contrast(NamedTuple):
    """A measure of one group and of another, and the first minus the second; null where it is undefined."""

    key: str
    value: float | None
    other: float | None
    interval: Interval | None

    @property
    def difference(self) -> float | None:
        """The first minus the second."""
        return None if self.value is None or self.other is None else self.value - self.other

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval is not None and (self.interval.low > 0 or self.interval.high < 0)

    @property
    def better(self) -> bool | None:
        """Whether the first is the larger one; null where that may be chance."""
        return None if not self.certain else (self.difference or 0) > 0

    def form(self, value: float | None) -> str:
        """Write a value as people do."""
        return percent(value) if self.key in SHARES else number(value)

    def words(self, name: str = "") -> str:
        """Write the difference and its interval, with the name for that; shares in percentage points."""
        if self.difference is None:
            return UNKNOWN
        scale, digits, unit = (100, 1, " points") if self.key in SHARES else (1, 3, "")
        told = f"{_signed(scale * self.difference, digits)}{unit}"
        if self.interval is None:
            return told
        low, high = (_signed(scale * bound, digits) for bound in self.interval)
        return f"{told} ({name}{low} to {high})"


def of_shares(key: str, these: Rates, those: Rates) -> Contrast:
    """Compare a share of two groups, with Newcombe's interval."""
    interval = newcombe(*_counts(key, these), *_counts(key, those))
    return Contrast(key, getattr(these, key), getattr(those, key), interval)


def _counts(key: str, group: Rates) -> tuple[int, int]:
    """Return how many of how many; 0 of 0 where the share is unknown."""
    share, whole = getattr(group, key), getattr(group, SHARES[key])
    return (0, 0) if share is None else (round(share * whole), whole)


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")
