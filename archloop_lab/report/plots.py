"""The report's figures by the question that they answer: each takes the run and draws one SVG, or nothing."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from archloop_lab.report import plots_control, plots_cost, plots_novelty, plots_validity
from archloop_lab.report.primitives import Run


class Plot(NamedTuple):
    """A figure and what to read from it."""

    title: str
    caption: str
    svg: str


def all_plots(run: Run) -> dict[str, list[Plot]]:
    """Draw every figure for which the run has data, by section."""
    return {section: _drawn(run, plots) if run.cycles else [] for section, plots in _PLOTS.items()}


def _drawn(run: Run, plots: Iterable[tuple[str, str, Callable[[Run], str]]]) -> list[Plot]:
    drawn = (Plot(title, caption, draw(run)) for title, caption, draw in plots)
    return [plot for plot in drawn if plot.svg]


_PLOTS: Mapping[str, tuple[tuple[str, str, Callable[[Run], str]], ...]] = {
    "worked": (
        ("Valid rate", "Trained and above chance, of all generated; nothing is repaired.", plots_validity.valid_rate),
        (
            "Accuracy of valid candidates",
            "Mean with its interval, median and best of each cycle.",
            plots_validity.accuracy,
        ),
        (
            "Share at or above the threshold",
            "Of the trained, as the paper counts, and of all generated, as the control is counted here.",
            plots_validity.good_share,
        ),
        ("Accuracy, every valid candidate", "A point each; the bar is the median.", plots_validity.distribution),
        ("Outcomes", "How every candidate ended.", plots_validity.outcomes),
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
        ("Novelty rate", "Of the valid: unlike every earlier valid candidate in scope.", plots_novelty.novelty_rate),
        ("Verdicts", "On the valid candidates.", plots_novelty.novelty),
        (
            "Similarity to what came before",
            "Exact Jaccard similarity to the nearest earlier valid candidate.",
            plots_novelty.similarities,
        ),
        ("Structural families", "Of the admitted, read from their code.", plots_novelty.families),
    ),
    "spent": (
        (
            "Where the time goes",
            "Wall seconds from the first to the last event of a step; steps overlap.",
            plots_cost.seconds,
        ),
        ("Where the evaluator's time goes", "By stage of an evaluation.", plots_cost.stage_seconds),
        ("Training loss", "The LLM's own, on the answers, one training after the other.", plots_cost.loss),
    ),
}
