"""The figures of a study: how each variant went, and how it differs from the first."""

from collections.abc import Callable, Sequence
from statistics import fmean

from archloop_lab.report.figure import INK, MUTED, SERIES, Drawing, drawing
from archloop_lab.report.plots import Plot
from archloop_lab.study.course import Step
from archloop_lab.study.plan import Study
from archloop_lab.study.results import METRICS, Metric, Result, differences
from archloop_lab.summary import AnalysedSummary

_OVER_CYCLES = (
    ("Valid rate", "valid_rate", True),
    ("Mean accuracy of valid candidates", "mean_accuracy", True),
    ("Share at or above the threshold, of all generated", "share_ge_threshold_generated", True),
    ("Unique architectures so far", "unique_total", False),
)


def trajectories(study: Study, results: Sequence[Result]) -> list[Plot]:
    """Draw how each variant went."""
    caption = "Thick: mean over seeds; thin: each seed."
    return [Plot(title, caption, trajectory(study, results, key, share)) for title, key, share in _OVER_CYCLES]


_SPENT: tuple[tuple[str, str, Callable[[Step], float]], ...] = (
    ("evaluations", "candidates evaluated", lambda step: step.evaluations),
    ("seconds", "seconds", lambda step: step.seconds),
    ("tokens", "tokens read and written", lambda step: step.tokens),
)


def courses(study: Study, results: Sequence[Result]) -> list[Plot]:
    """Draw the confirmed best so far against what was spent: evaluations, seconds, tokens."""
    caption = "Thick: mean over seeds, cycle by cycle; thin: each seed."
    return [
        Plot(f"Best so far, confirmed, against {label}", caption, _courses(study, results, name, label, spent))
        for name, label, spent in _SPENT
    ]


def _courses(study: Study, results: Sequence[Result], name: str, label: str, spent: Callable[[Step], float]) -> str:
    with drawing(f"study-course-{name}") as d:
        for place, variant in enumerate(study.variants):
            runs = [r.course.steps for r in results if r.variant == variant and r.course and spent(r.course.steps[-1])]
            for steps in runs:
                d.axes.plot([spent(s) for s in steps], [s.accuracy for s in steps], color=SERIES[place], alpha=0.35)
            cycles = list(zip(*runs, strict=False))
            means = [[fmean(map(spent, c)), fmean(s.accuracy for s in c)] for c in cycles]
            style = "s--" if variant == study.control else "o-"
            if means:
                d.axes.plot(*zip(*means, strict=True), style, color=SERIES[place], label=variant, markersize=4)
        d.axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        d.axes.set_xlabel(label)
        return d.svg(columns=4)


def difference_plots(study: Study, results: Sequence[Result]) -> list[Plot]:
    """Draw how the others differ from the first."""
    drawn = [(metric, difference_plot(study, results, metric)) for metric in METRICS]
    return [Plot(f"{metric.label}: against {study.reference}", _FOREST, svg) for metric, svg in drawn if svg]


_FOREST = "Point: mean over the seeds. Marks: each seed. Bar: 95 % interval."


def trajectory(study: Study, results: Sequence[Result], key: str, share: bool) -> str:
    """Draw one metric over the cycles, a colour for each variant."""
    with drawing(f"study-{key}") as d:
        cycles: list[int] = []
        for place, variant in enumerate(study.variants):
            runs = [_series(r.summary, key) for r in results if r.variant == variant]
            for values in runs:
                d.axes.plot(list(values), list(values.values()), color=SERIES[place], linewidth=0.8, alpha=0.45)
            means = {n: fmean(v[n] for v in runs if n in v) for n in sorted({n for v in runs for n in v})}
            style = "s--" if variant == study.control else "o-"
            d.axes.plot(list(means), list(means.values()), style, color=SERIES[place], label=variant)
            cycles += means
        _frame(d, cycles, share)
        return d.svg(columns=4)


def difference_plot(study: Study, results: Sequence[Result], metric: Metric) -> str:
    """Draw a line for each variant; nothing where no variant can be compared."""
    found = [each for each in differences(results, study) if each.metric is metric]
    if not found:
        return ""
    with drawing(f"study-difference-{metric.key}") as d:
        d.axes.axvline(0, color=MUTED, linewidth=1)
        for row, each in enumerate(reversed(found)):
            colour = SERIES[list(study.variants).index(each.variant)]
            if each.estimate.interval is not None:
                d.axes.plot(each.estimate.interval, (row, row), color=colour, linewidth=3, alpha=0.4)
            d.axes.plot(each.estimate.values, [row] * len(each.estimate.values), "|", color=INK, markersize=7)
            d.axes.plot(each.estimate.mean, row, "o", color=colour, markersize=7)
        d.axes.set_yticks(range(len(found)), [each.variant for each in reversed(found)])
        d.axes.set_ylim(-0.6, len(found) - 0.4)
        d.axes.grid(visible=False)
        d.axes.set_xlabel("difference, points of 100" if metric.share else "difference")
        if metric.share:
            d.axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:+.3g}")
        return d.svg()


def _series(summary: AnalysedSummary, key: str) -> dict[int, float]:
    return {cycle.cycle: float(value) for cycle in summary.closed if (value := cycle.measure(key)) is not None}


def _frame(d: Drawing, cycles: Sequence[int], share: bool) -> None:
    if share:
        d.percent()
    else:
        d.axes.set_ylim(bottom=0)
    d.cycles(cycles or [0])
