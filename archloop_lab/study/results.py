"""What the runs of a study came to, and how the variants differ.

A variant's value is the mean over its seeds, with Student's interval. Variants are compared seed by seed, since runs
of one seed are written by the same base model to the same prompts: the interval is that of the mean difference.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple, Self

from archloop_lab.run_directory import RunDirectory
from archloop_lab.study import course
from archloop_lab.study.course import Course
from archloop_lab.study.plan import Cell, Study
from archloop_lab.summary import AnalysedSummary
from services.registry.statistics.intervals import Interval, mean_interval, share


class Horizons(NamedTuple):
    """How far all runs of a study went, those that spent none left out: in seconds and in tokens."""

    seconds: float = 0.0
    tokens: int = 0

    @classmethod
    def of(cls, courses: Iterable[Course | None]) -> Self:
        """Return the least that any run spent in all."""
        last = [course.steps[-1] for course in courses if course is not None and course.steps]
        tokens = [step.tokens for step in last if step.tokens]
        return cls(min((step.seconds for step in last), default=0.0), min(tokens, default=0))


class Result(NamedTuple):
    """One run that came to its end; `course` where the study confirms who led."""

    variant: str
    seed: int
    summary: AnalysedSummary
    course: Course | None = None
    horizons: Horizons = Horizons()


class Metric(NamedTuple):
    """One number of a run. `share`: from 0 to 1, shown in percent; `better`: whether more is."""

    key: str
    label: str
    of: Callable[[Result], float | None]
    share: bool = True
    better: bool | None = True


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


def _last(key: str) -> Callable[[Result], float | None]:
    def read(result: Result) -> float | None:
        closed = result.summary.closed
        return closed[-1].measure(key) if closed else None

    return read


def _duplicates(result: Result) -> float | None:
    totals = result.summary.totals
    return share(totals.near_duplicate + totals.exact_duplicate, totals.valid)


def _tokens(result: Result) -> float | None:
    return share(result.summary.totals.tokens, result.summary.unique_total)


def _confirmed(result: Result) -> float | None:
    confirmation = result.summary.confirmation
    return confirmation.best.mean if confirmation else None


def _over_evaluations(result: Result) -> float | None:
    return result.course.over_cycles if result.course else None


def _over_seconds(result: Result) -> float | None:
    return result.course.area(lambda step: step.seconds, result.horizons.seconds) if result.course else None


def _over_tokens(result: Result) -> float | None:
    course = result.course
    spent = course is not None and course.steps and course.steps[-1].tokens
    return course.area(lambda step: step.tokens, result.horizons.tokens) if course and spent else None


def _finally(result: Result) -> float | None:
    return result.course.steps[-1].accuracy if result.course and result.course.steps else None


METRICS: tuple[Metric, ...] = (
    Metric("valid_rate", "valid rate, last cycle", _last("valid_rate")),
    Metric("mean_accuracy", "mean accuracy, last cycle", _last("mean_accuracy")),
    Metric("share_generated", "share ≥ threshold of generated, last cycle", _last("share_ge_threshold_generated")),
    Metric("best_accuracy", "best accuracy, whole run", lambda result: result.summary.totals.best_accuracy),
    Metric("confirmed_best", "best accuracy on other seeds", _confirmed),
    Metric("so_far", "best so far, confirmed, mean over evaluations", _over_evaluations),
    Metric("so_far_seconds", "best so far, confirmed, mean over seconds", _over_seconds),
    Metric("so_far_tokens", "best so far, confirmed, mean over tokens", _over_tokens),
    Metric("finally", "best at the end, confirmed", _finally),
    Metric("unique", "unique architectures, whole run", lambda result: result.summary.unique_total, share=False),
    Metric("duplicates", "copies among the valid, whole run", _duplicates, better=False),
    Metric("entropy", "family entropy of the last cycle, bits", _last("family_entropy_bits"), share=False),
    Metric("tokens", "tokens per unique architecture", _tokens, share=False, better=False),
)


def read(cells: Sequence[Cell], directory: Path) -> list[Result]:
    """Read those runs of the study that came to their end."""
    found = [(cell, RunDirectory(directory / cell.name)) for cell in cells]
    ended = [(cell, run, course.read(run.path)) for cell, run in found if run.ended]
    horizons = Horizons.of(each for _, _, each in ended)
    return [Result(cell.variant, cell.seed, run.summary(), each, horizons) for cell, run, each in ended]


def estimate(results: Sequence[Result], variant: str, metric: Metric) -> MeanEstimate | None:
    """Estimate over the seeds of the variant; None where no run has the metric.

    No metric is negative, and no share above 1, which Student's interval does not know.
    """
    found = _estimate([v for r in results if r.variant == variant and (v := metric.of(r)) is not None])
    if found is None or found.interval is None:
        return found
    low, high = found.interval
    return found._replace(interval=Interval(max(0.0, low), min(1.0, high) if metric.share else high))


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
    return {r.seed: v for r in results if r.variant == variant and (v := metric.of(r)) is not None}


def _estimate(values: Sequence[float]) -> MeanEstimate | None:
    return MeanEstimate(fmean(values), mean_interval(values), tuple(values)) if values else None


class Winner(NamedTuple):
    """The variant that is best by a metric, and those that it clearly beats and does not."""

    metric: Metric
    variant: str
    beaten: tuple[str, ...]
    level: tuple[str, ...]


def winners(results: Sequence[Result], study: Study) -> Iterator[Winner]:
    """Tell who wins by what: for each metric with a direction, the best mean, and whom it leaves behind clearly."""
    for metric in METRICS:
        means = {name: found.mean for name in study.variants if (found := estimate(results, name, metric)) is not None}
        if metric.better is None or len(means) < 2:
            continue
        best = (max if metric.better else min)(means, key=means.__getitem__)
        compared = {name: difference(results, best, name, metric) for name in means if name != best}
        beaten = tuple(name for name, found in compared.items() if found is not None and found.clear)
        yield Winner(metric, best, beaten, tuple(name for name in compared if name not in beaten))
