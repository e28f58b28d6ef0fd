"""One group of candidates against another: the difference of each measure, with its 95 % interval."""

from collections.abc import Sequence
from typing import NamedTuple

from archloop_lab.report.view import accuracies
from archloop_lab.resampling import Statistic, difference
from archloop_lab.summary import AnalysedCycle, AnalysedSummary
from services.registry.records import Candidate
from services.registry.statistics.contrasts import SHARES, Contrast, of_shares

ACCURACIES: dict[str, Statistic] = {"mean_accuracy": "mean", "median_accuracy": "median"}


class Group(NamedTuple):
    """The numbers of a cycle, and the accuracies of its valid candidates."""

    numbers: AnalysedCycle
    accuracies: Sequence[float]


def groups(summary: AnalysedSummary, candidates: Sequence[Candidate]) -> dict[int, Group]:
    """List the closed cycles of a run by number; without accuracies where its candidates are not at hand."""
    return {cycle.cycle: Group(cycle, accuracies(candidates, cycle.cycle)) for cycle in summary.closed}


def contrast(key: str, these: Group, those: Group) -> Contrast:
    """Compare two groups: shares with Newcombe's interval, accuracies with the bootstrap's."""
    if key in SHARES:
        return of_shares(key, these.numbers, those.numbers)
    interval = difference(these.accuracies, those.accuracies, ACCURACIES[key])
    return Contrast(key, these.numbers.measure(key), those.numbers.measure(key), interval)


def comparable(key: str, these: Group, those: Group) -> bool:
    """Return whether the measure is of the same kind in both: where some were stopped early, accuracies are not."""
    return key not in ACCURACIES or not (these.numbers.stopped or those.numbers.stopped)
