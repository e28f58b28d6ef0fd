"""Figures of whether it worked: how many networks are valid, and how accurate those are."""

from archloop_lab.report.primitives import Run, cloud, curves, stacked
from archloop_lab.report.view import accuracies
from services.registry.statistics import figures


def good_share(run: Run) -> str:
    """Draw the share of the trained, as the paper has it, and of all; the control's is of all."""
    return curves(run, figures.GOOD_SHARE, f"candidates with accuracy ≥ {run.summary.spec.selection.threshold:g}")


def distribution(run: Run) -> str:
    """Draw every valid candidate as a point, the shape of the distribution behind."""
    return cloud(run, figures.DISTRIBUTION, {n: accuracies(run.candidates, n) for n in run.numbers})


def outcomes(run: Run) -> str:
    """Draw how every candidate ended."""
    return stacked(run, figures.OUTCOMES, [cycle.outcomes for cycle in run.cycles])
