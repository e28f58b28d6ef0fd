"""Figures of whether it worked: how many networks are valid, and how accurate those are."""

from archloop_lab.report.figure import SERIES, drawing
from archloop_lab.report.primitives import Run, band, cloud, control, interval, line, mark, stacked
from archloop_lab.report.view import accuracies

OUTCOMES = (
    "ok",
    "below_chance",
    "diverged",
    "train_error",
    "shape_error",
    "build_error",
    "contract_error",
    "syntax_error",
    "out_of_memory",
    "timeout",
    "suspect",
    "crashed",
    "forbidden",
    "stopped",
)
_ACCURACY = "validation accuracy, one epoch"


def valid_rate(run: Run) -> str:
    """Draw the valid rate with its Wilson interval."""
    with drawing("valid") as d:
        interval(d, run, "valid_rate", "valid", 0)
        control(d, run, "valid_rate")
        d.percent("valid, of all generated")
        d.cycles(run.numbers)
        return d.svg()


def accuracy(run: Run) -> str:
    """Draw the mean with its interval, median and best."""
    with drawing("accuracy") as d:
        band(d, run, "mean_accuracy_low", "mean_accuracy_high", label="95 % interval of the mean")
        line(d, run, "best_accuracy", "best", 2)
        line(d, run, "mean_accuracy", "mean", 0)
        line(d, run, "median_accuracy", "median", 1)
        control(d, run, "mean_accuracy")
        mark(d, run.summary.spec.selection.threshold, "threshold of selection")
        d.axes.set_ylabel(_ACCURACY)
        d.axes.set_ylim(0, 1.02)
        d.cycles(run.numbers)
        return d.svg()


def good_share(run: Run) -> str:
    """Draw the share of the trained, as the paper has it, and of all; the control's is of all."""
    with drawing("share") as d:
        interval(d, run, "share_ge_threshold_trained", "of trained", 0)
        interval(d, run, "share_ge_threshold_generated", "of generated", 1)
        control(d, run, "share_ge_threshold_generated")
        d.percent(f"candidates with accuracy ≥ {run.summary.spec.selection.threshold:g}")
        d.cycles(run.numbers)
        return d.svg()


def distribution(run: Run) -> str:
    """Draw every valid candidate as a point, the shape of the distribution behind."""
    groups = {n: accuracies(run.candidates, n) for n in run.numbers}
    return cloud("distribution", groups, (run.summary.spec.selection.threshold, "threshold of selection"), _ACCURACY)


def outcomes(run: Run) -> str:
    """Draw how every candidate ended."""
    tallies = [cycle.outcomes for cycle in run.cycles]
    shown = [name for name in OUTCOMES if any(tally.get(name) for tally in tallies)]
    colours = dict(zip(OUTCOMES, (*SERIES[2:13], *SERIES[:2], SERIES[13]), strict=True))
    return stacked("outcomes", run, tallies, shown, colours, "candidates")
