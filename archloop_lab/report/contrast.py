"""One group of candidates against another: the difference of each measure, with its 95 % interval."""

from collections.abc import Sequence
from typing import NamedTuple

from archloop.numerals import UNKNOWN, number, percent
from archloop_lab.report.view import accuracies
from archloop_lab.resampling import Statistic, difference
from archloop_lab.summary import AnalysedCycle, AnalysedSummary
from services.registry.records import Candidate
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

    numbers: AnalysedCycle
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
        """Write a value as people do."""
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


def groups(summary: AnalysedSummary, candidates: Sequence[Candidate]) -> dict[int, Group]:
    """List the closed cycles of a run by number; without accuracies where its candidates are not at hand."""
    return {cycle.cycle: Group(cycle, accuracies(candidates, cycle.cycle)) for cycle in summary.closed}


def contrast(key: str, these: Group, those: Group) -> Contrast:
    """Compare two groups: shares with Newcombe's interval, accuracies with the bootstrap's."""
    if key in SHARES:
        counts = [_counts(key, g.numbers) for g in (these, those)]
        interval = newcombe(*counts[0], *counts[1])
    else:
        interval = difference(these.accuracies, those.accuracies, ACCURACIES[key])
    return Contrast(key, these.numbers.measure(key), those.numbers.measure(key), interval)


def comparable(key: str, these: Group, those: Group) -> bool:
    """Return whether the measure is of the same kind in both: where some were stopped early, accuracies are not."""
    return key not in ACCURACIES or not (these.numbers.stopped or those.numbers.stopped)


def _counts(key: str, numbers: AnalysedCycle) -> tuple[int, int]:
    """Return how many of how many; 0 of 0 where the share is unknown."""
    share, whole = numbers.measure(key), int(numbers.measure(SHARES[key]) or 0)
    return (0, 0) if share is None else (round(share * whole), whole)


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")
