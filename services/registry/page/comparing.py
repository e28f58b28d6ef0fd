"""Runs against the first of them: every measure, and the difference with its 95 % interval."""

from collections.abc import Mapping
from typing import NamedTuple

from services.registry.page.charts import closed
from services.registry.statistics import figures, intervals
from services.registry.statistics.contrasts import SHARES, Contrast, of_shares
from services.registry.statistics.figures import Lines
from services.registry.statistics.intervals import Interval
from services.registry.statistics.rates import Rates
from services.registry.statistics.summary import Summary

CURVES: tuple[tuple[Lines, str], ...] = (
    (figures.VALID, "valid_rate"),
    (figures.ACCURACY._replace(title="Mean accuracy of valid candidates"), "mean_accuracy"),
    (figures.ACCURACY._replace(title="Best accuracy"), "best_accuracy"),
    (figures.GOOD_SHARE._replace(title="At or above the threshold, of generated"), "share_ge_threshold_generated"),
    (figures.NOVELTY_RATE, "novelty_rate"),
    (figures.ACCURACY._replace(title="Unique architectures so far", axis="architectures"), "unique_total"),
)
_LABELS = {
    "valid_rate": "valid rate",
    "mean_accuracy": "mean accuracy of the valid",
    "share_ge_threshold_generated": "at or above the threshold, of generated",
    "share_ge_threshold_trained": "at or above the threshold, of trained",
    "novelty_rate": "novel, of the valid",
}
_SAME = ("protocol", "base_model", "frozen", "cycles", "candidates", "seed", "generation", "novelty", "selection")


class Difference(NamedTuple):
    """A run's value, and how it differs from the first run's; `better` where the interval leaves out 0."""

    value: str
    words: str = ""
    better: bool | None = None


class Line(NamedTuple):
    """A measure, and each run's difference."""

    label: str
    cells: list[Difference]


class Table(NamedTuple):
    """The measures of one group of candidates."""

    title: str
    lines: list[Line]


def tables(read: Mapping[str, Summary]) -> list[Table]:
    """Compare the last cycle that all have closed, and all candidates together."""
    shared = set.intersection(*({c.cycle for c in closed(s)} for s in read.values()))
    found = []
    if shared:
        last = max(shared)
        groups: list[Rates] = [next(c for c in s.cycles if c.cycle == last) for s in read.values()]
        found.append(Table(f"Cycle {last}, the last that all have closed", _lines(groups)))
    return [*found, Table("All candidates of all cycles", _lines([summary.totals for summary in read.values()]))]


def unlike(read: Mapping[str, Summary]) -> list[str]:
    """List the fields of their specs in which not all are the same."""
    specs = [summary.spec.model_dump() for summary in read.values()]
    return [name for name in _SAME if any(spec[name] != specs[0][name] for spec in specs)]


def _lines(groups: list[Rates]) -> list[Line]:
    return [Line(label, [_difference(key, group, groups[0]) for group in groups]) for key, label in _LABELS.items()]


def _difference(key: str, these: Rates, those: Rates) -> Difference:
    found = _contrast(key, these, those)
    if these is those or found.difference is None:
        return Difference(found.form(found.value))
    return Difference(found.form(found.value), found.words(), found.better)


def _contrast(key: str, these: Rates, those: Rates) -> Contrast:
    if key in SHARES:
        return of_shares(key, these, those)
    return Contrast(key, getattr(these, key), getattr(those, key), _welch(these, those))


def _welch(these: Rates, those: Rates) -> Interval | None:
    sides = [
        (g.mean_accuracy, Interval(g.mean_accuracy_low, g.mean_accuracy_high), g.valid)
        for g in (these, those)
        if g.mean_accuracy is not None and g.mean_accuracy_low is not None and g.mean_accuracy_high is not None
    ]
    return intervals.welch(*sides[0], *sides[1]) if len(sides) == 2 else None
