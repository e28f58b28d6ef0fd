"""Writes a study's report: report.html, and its tables as CSV beside it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from archloop.numerals import UNKNOWN
from archloop_lab import files
from archloop_lab.report import sheet
from archloop_lab.report.sheet import Section
from archloop_lab.study.plan import Study
from archloop_lab.study.plots import courses, difference_plots, trajectories
from archloop_lab.study.results import (
    METRICS,
    Difference,
    MeanEstimate,
    Metric,
    Result,
    differences,
    estimate,
    winners,
)


def write(study: Study, results: Sequence[Result], directory: Path) -> None:
    """Write whatever is there so far."""
    found = list(differences(results, study))
    seeds = len(study.seeds)
    lead = (
        f"{len(results)} of {seeds * len(study.variants)} runs: {len(study.variants)} variants of the preset"
        f" {study.preset}, each with {_counted(seeds)}, compared seed by seed with {study.reference}."
    )
    sections = [
        Section("What differs", [_sentence(f, study) for f in found if f.clear], note=_reading(len(found), seeds)),
        Section("By how much", plots=difference_plots(study, results)),
        *_discovery(study, results),
        Section("All numbers", table=_table(study, results), note=_TABLES),
        Section("Cycle by cycle", plots=trajectories(study, results)),
        Section("What these seeds do not decide", [_sentence(f, study) for f in found if not f.clear]),
    ]
    sheet.write(directory / "report.html", study.question, lead + _control(study), sections)
    files.write_csv(directory / "runs.csv", _runs(results))
    files.write_csv(directory / "differences.csv", _differences(found))


_TABLES = (
    "Means over the seeds with 95 % intervals. Every run by itself is in runs.csv, every difference in"
    " differences.csv; the definitions are in docs/reference/metrics.md."
)


_COURSE = (
    "Each network that led at the end of a cycle was trained anew on seeds that had no part in choosing it; the curve"
    " is their mean, so it may fall. The winner has the best mean; it beats those whose interval of the difference"
    " leaves out zero, seed by seed. Where it beats nobody, nobody wins. Seconds are those of this machine."
)


def _discovery(study: Study, results: Sequence[Result]) -> list[Section]:
    if not any(result.course for result in results):
        return []
    rows = [[each.metric.label, each.variant, *map(_names, each[2:])] for each in winners(results, study)]
    won = [["by", "best mean", "beats", "does not beat"], *rows]
    return [Section("Best so far", plots=courses(study, results)), Section("Who wins where", table=won, note=_COURSE)]


def _names(variants: Sequence[str]) -> str:
    return ", ".join(variants) or "–"


def _control(study: Study) -> str:
    return f" {study.control} is the control, whose LLM learns nothing." if study.control else ""


def _reading(comparisons: int, seeds: int) -> str:
    return (
        f"Mean difference over {_counted(seeds)} with its 95 % interval (Student's t), listed where it leaves out zero."
        f" {comparisons} comparisons were made and nothing is corrected for that: about one in twenty is by chance."
    )


def _counted(seeds: int) -> str:
    return f"{seeds} seeds" if seeds > 1 else "one seed, which gives no interval"


def _sentence(found: Difference, study: Study) -> str:
    shown = value(found.metric, found.estimate, signed=True)
    return f"{found.variant} against {study.reference}: {found.metric.label} {shown}"


def value(metric: Metric, found: MeanEstimate | None, *, signed: bool = False) -> str:
    """Write mean and interval."""
    if found is None:
        return UNKNOWN
    mean = _number(metric, found.mean, signed)
    if found.interval is None:
        return mean
    low, high = (_number(metric, bound, signed) for bound in found.interval)
    return f"{mean} [{low} to {high}]"


def _number(metric: Metric, number: float, signed: bool) -> str:
    sign = "+" if signed else ""
    if metric.share:
        return format(100 * number, f"{sign}.1f") + (" points" if signed else " %")
    return format(number, f"{sign},.{0 if abs(number) >= 20 else 2}f")


def _table(study: Study, results: Sequence[Result]) -> list[list[str]]:
    rows = [[m.label, *(value(m, estimate(results, v, m)) for v in study.variants)] for m in METRICS]
    return [["", *study.variants], *rows]


def _runs(results: Iterable[Result]) -> list[dict[str, Any]]:
    return [
        {"variant": r.variant, "seed": r.seed, "status": r.summary.status, "seconds": r.summary.seconds}
        | {metric.key: metric.of(r) for metric in METRICS}
        for r in results
    ]


def _differences(found: Iterable[Difference]) -> list[dict[str, Any]]:
    return [
        {
            "variant": each.variant,
            "metric": each.metric.key,
            "mean": each.estimate.mean,
            "low": each.estimate.interval and each.estimate.interval.low,
            "high": each.estimate.interval and each.estimate.interval.high,
            "seeds": len(each.estimate.values),
        }
        for each in found
    ]
