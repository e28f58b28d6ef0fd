"""The report's figures by the question that they answer: each takes the run and draws one SVG, or nothing."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from archloop_lab.report import plots_control, plots_cost, plots_novelty
from archloop_lab.report.primitives import Run, cloud, curves, stacked
from archloop_lab.report.view import accuracies
from services.registry.statistics import figures
from services.registry.statistics.figures import Lines

_Draw = tuple[str, str, Callable[[Run], str]]


class Plot(NamedTuple):
    """A figure and what to read from it."""

    title: str
    caption: str
    svg: str


def all_plots(run: Run) -> dict[str, list[Plot]]:
    """Draw every figure for which the run has data, by section."""
    return {section: _drawn(run, plots) if run.cycles else [] for section, plots in _PLOTS.items()}


def _drawn(run: Run, plots: Iterable[_Draw]) -> list[Plot]:
    drawn = (Plot(title, caption, draw(run)) for title, caption, draw in plots)
    return [plot for plot in drawn if plot.svg]


def _lines(figure: Lines) -> _Draw:
    return figure.title, figure.caption, partial(curves, figure=figure)


def good_share(run: Run) -> str:
    """Draw the share of the trained, as the paper has it, and of all; the control's is of all."""
    return curves(run, figures.GOOD_SHARE, f"candidates with accuracy ≥ {run.summary.spec.selection.threshold:g}")


def distribution(run: Run) -> str:
    """Draw every valid candidate as a point, the shape of the distribution behind."""
    return cloud(run, figures.DISTRIBUTION, {n: accuracies(run.candidates, n) for n in run.numbers})


def outcomes(run: Run) -> str:
    """Draw how every candidate ended."""
    return stacked(run, figures.OUTCOMES, [cycle.outcomes for cycle in run.cycles])


_PLOTS: Mapping[str, tuple[_Draw, ...]] = {
    "worked": (
        _lines(figures.VALID),
        _lines(figures.ACCURACY),
        (figures.GOOD_SHARE.title, figures.GOOD_SHARE.caption, good_share),
        (figures.DISTRIBUTION.title, figures.DISTRIBUTION.caption, distribution),
        (figures.OUTCOMES.title, figures.OUTCOMES.caption, outcomes),
    ),
    "control": (
        (
            "Valid rate, run minus control",
            "Percentage points, with Newcombe's 95 % interval. Above the line the run is better.",
            partial(plots_control.differences, key="valid_rate"),
        ),
        (
            "Mean accuracy, run minus control",
            "Of the valid candidates, with the bootstrap's 95 % interval.",
            partial(plots_control.differences, key="mean_accuracy", label="difference of mean accuracy"),
        ),
        (
            "Share at or above the threshold, run minus control",
            "Of all generated, in percentage points, with Newcombe's 95 % interval.",
            partial(plots_control.differences, key="share_ge_threshold_generated"),
        ),
        (
            "Novel, run minus control",
            "Of the valid, in percentage points, with Newcombe's 95 % interval.",
            partial(plots_control.differences, key="novelty_rate"),
        ),
    ),
    "invented": (
        (
            "Memorization: how near to what it was tuned on",
            "Similarity to the nearest example that the LLM was tuned on: 1 is a copy. Grey: of what it wrote untuned.",
            plots_novelty.memorization,
        ),
        (
            "Diversity",
            "Mean Jaccard distance of two networks of a cycle. 0: all the same; 1: nothing in common.",
            plots_novelty.diversity,
        ),
        _lines(figures.NOVELTY_RATE),
        (figures.VERDICTS.title, figures.VERDICTS.caption, plots_novelty.novelty),
        (figures.SIMILARITIES.title, figures.SIMILARITIES.caption, plots_novelty.similarities),
        (figures.FAMILIES.title, figures.FAMILIES.caption, plots_novelty.families),
    ),
    "spent": (
        (figures.SECONDS.title, figures.SECONDS.caption, plots_cost.seconds),
        (plots_cost.STAGES.title, plots_cost.STAGES.caption, plots_cost.stage_seconds),
        (figures.LOSS.title, figures.LOSS.caption, plots_cost.loss),
    ),
}
