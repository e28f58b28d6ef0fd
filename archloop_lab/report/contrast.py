"""One group of candidates against another: the difference of each measure, with its 95 % interval."""

from collections.abc import Sequence
from typing import NamedTuple

from archloop_lab.report.view import UNKNOWN, Json, cycles_of, number, percent, values
from archloop_lab.resampling import Statistic, difference
from services.registry.statistics.intervals import Interval, newcombe

SHARES = {
    "valid_rate": "generated",
    "share_ge_threshold_generated": "generated",
    "share_ge_threshold_trained": "valid",
    "novelty_rate": "valid",
}
ACCURACIES: dict[str, Statistic] = {"mean_accuracy": "mean", "median_accuracy": "median"}


class Group(NamedTuple):
    """The numbers of a cycle, and the accuracies of its valid candidates."""

    numbers: Json
    accuracies: Sequence[float]


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

    def form(self, value: float | None) -> str:
        """As people write it."""
        return percent(value) if self.key in SHARES else number(value)

    @property
    def words(self) -> str:
        """The difference and its interval; shares in percentage points."""
        if self.difference is None:
            return UNKNOWN
        scale, digits, unit = (100, 1, " points") if self.key in SHARES else (1, 3, "")
        if self.interval is None:
            return f"{_signed(scale * self.difference, digits)}{unit}"
        low, high = (_signed(scale * bound, digits) for bound in self.interval)
        return f"{_signed(scale * self.difference, digits)}{unit} (95 % interval {low} to {high})"


def groups(summary: Json, candidates: Sequence[Json]) -> dict[int, Group]:
    """Every closed cycle of a run, by number; without accuracies where its candidates are not at hand."""
    closed = {int(cycle["cycle"]): cycle for cycle in cycles_of(summary) if cycle.get("closed", True)}
    return {n: Group(cycle, values(candidates, n, "evaluation", "accuracy")) for n, cycle in closed.items()}


def contrast(key: str, these: Group, those: Group) -> Contrast:
    """Of shares Newcombe's interval, of accuracies the bootstrap's."""
    if key in SHARES:
        counts = [_counts(key, g.numbers) for g in (these, those)]
        interval = newcombe(*counts[0], *counts[1])
    else:
        interval = difference(these.accuracies, those.accuracies, ACCURACIES[key])
    return Contrast(key, these.numbers.get(key), those.numbers.get(key), interval)


def _counts(key: str, numbers: Json) -> tuple[int, int]:
    """How many of how many; of nothing where the share is unknown."""
    share, whole = numbers.get(key), int(numbers.get(SHARES[key]) or 0)
    return (0, 0) if share is None else (round(share * whole), whole)


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")
