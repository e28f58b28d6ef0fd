"""What the runs of a study came to, and how the variants differ.

A variant's value is the mean over its seeds, with Student's interval. Variants are compared seed by seed, since runs
of one seed are written by the same base model to the same prompts: the interval is that of the mean difference.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from archloop_lab.run_directory import RunDirectory
from archloop_lab.study.plan import Cell, Study
from archloop_lab.summary import AnalysedSummary
from services.registry.statistics.intervals import Interval, mean_interval, share


class Metric(NamedTuple):
    """One number of a run. `share`: from 0 to 1, shown in percent; `better`: whether more is."""

    key: str
    label: str
    of: Callable[[AnalysedSummary], float | None]
    share: bool = True
    better: bool | None = True


class Result(NamedTuple):
    """One run that came to its end."""

    variant: str
    seed: int
    summary: AnalysedSummary


class MeanEstimate(NamedTuple):
    """A mean over seeds; without an interval where there are fewer than two."""

    mean: float
    interval: Interval | None
    values: tuple[float, ...]


class Difference(NamedTuple):
    """A variant's metric minus the reference's. `clear`: the interval leaves out zero."""

    variant: str
    metric: Metric
    estimate: MeanEstimate

    @property
    def clear(self) -> bool:
        """Whether chance alone is an unlikely explanation."""
        interval = self.estimate.interval
        return interval is not None and (interval.low > 0 or interval.high < 0)


def _last(key: str) -> Callable[[AnalysedSummary], float | None]:
    def read(summary: AnalysedSummary) -> float | None:
        return summary.closed[-1].measure(key) if summary.closed else None

    return read


def _duplicates(summary: AnalysedSummary) -> float | None:
    totals = summary.totals
    return share(totals.near_duplicate + totals.exact_duplicate, totals.valid)


def _tokens(summary: AnalysedSummary) -> float | None:
    return share(summary.totals.tokens, summary.unique_total)


def _confirmed(summary: AnalysedSummary) -> float | None:
    return summary.confirmation.best.mean if summary.confirmation else None


METRICS: tuple[Metric, ...] = (
    Metric("valid_rate", "valid rate, last cycle", _last("valid_rate")),
    Metric("mean_accuracy", "mean accuracy, last cycle", _last("mean_accuracy")),
    Metric("share_generated", "share ≥ threshold of generated, last cycle", _last("share_ge_threshold_generated")),
    Metric("best_accuracy", "best accuracy, whole run", lambda summary: summary.totals.best_accuracy),
    Metric("confirmed_best", "best accuracy on other seeds", _confirmed),
    Metric("unique", "unique architectures, whole run", lambda summary: summary.unique_total, share=False),
    Metric("duplicates", "copies among the valid, whole run", _duplicates, better=False),
    Metric("entropy", "family entropy of the last cycle, bits", _last("family_entropy_bits"), share=False),
    Metric("tokens", "tokens per unique architecture", _tokens, share=False, better=False),
)


def read(cells: Sequence[Cell], directory: Path) -> list[Result]:
    """Read those runs of the study that came to their end."""
    found = [(cell, RunDirectory(directory / cell.name)) for cell in cells]
    return [Result(c.variant, c.seed, run.summary()) for c, run in found if run.ended]


def estimate(results: Sequence[Result], variant: str, metric: Metric) -> MeanEstimate | None:
    """Estimate over the seeds of the variant; None where no run has the metric."""
    return _estimate([v for r in results if r.variant == variant and (v := metric.of(r.summary)) is not None])


def difference(results: Sequence[Result], variant: str, reference: str, metric: Metric) -> Difference | None:
    """Compare over the seeds that both have."""
    own, other = (_by_seed(results, name, metric) for name in (variant, reference))
    found = _estimate([own[seed] - other[seed] for seed in sorted(own.keys() & other.keys())])
    return None if found is None else Difference(variant, metric, found)


def differences(results: Sequence[Result], study: Study) -> Iterator[Difference]:
    """Compare every variant with the reference, metric by metric."""
    for variant in list(study.variants)[1:]:
        for metric in METRICS:
            found = difference(results, variant, study.reference, metric)
            if found is not None:
                yield found


def _by_seed(results: Sequence[Result], variant: str, metric: Metric) -> dict[int, float]:
    return {r.seed: v for r in results if r.variant == variant and (v := metric.of(r.summary)) is not None}


def _estimate(values: Sequence[float]) -> MeanEstimate | None:
    return MeanEstimate(fmean(values), mean_interval(values), tuple(values)) if values else None
