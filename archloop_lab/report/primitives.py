"""The marks that figures are made of: lines, bands, clouds of points, stacked bars."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from archloop_lab.report.figure import INK, MUTED, SERIES, Drawing, drawing
from archloop_lab.report.versions import Training
from archloop_lab.report.view import Control
from archloop_lab.summary import AnalysedCycle, AnalysedSummary
from services.registry.html import words
from services.registry.records import Candidate
from services.registry.statistics.figures import CONTROL, MARKS, Cloud, Lines, Stack, Threshold


class Run(NamedTuple):
    """What is drawn: a run, its candidates, the frozen control beside it, and its trainings by cycle."""

    summary: AnalysedSummary
    candidates: Sequence[Candidate]
    control: Control | None = None
    trainings: Mapping[int, Training] = MappingProxyType({})

    @property
    def cycles(self) -> list[AnalysedCycle]:
        """Those that are drawn: the closed ones, for of an open one failures and trainings come at different times."""
        return self.summary.closed or self.summary.begun

    @property
    def numbers(self) -> list[int]:
        """Of the cycles, along the bottom."""
        return [cycle.cycle for cycle in self.cycles]


def known(values: Iterable[float | None]) -> list[float]:
    """Put nan, which matplotlib leaves out, where there is no value."""
    return [float("nan") if value is None else float(value) for value in values]


def series(cycles: Sequence[AnalysedCycle], key: str) -> list[float]:
    """Read one value a cycle."""
    return known(cycle.measure(key) for cycle in cycles)


def line(d: Drawing, run: Run, key: str, label: str, colour: int) -> None:
    """Draw one value a cycle, with its name at the end."""
    heights = series(run.cycles, key)
    d.axes.plot(run.numbers, heights, "o-", color=SERIES[colour])
    _named(d, heights, label, SERIES[colour])


def band(d: Drawing, run: Run, low: str, high: str, colour: int = 0, label: str = "95 % interval") -> None:
    """Draw the interval around a series."""
    lows, highs = series(run.cycles, low), series(run.cycles, high)
    d.axes.fill_between(run.numbers, lows, highs, color=SERIES[colour], alpha=0.18, linewidth=0, label=label)


def curves(run: Run, figure: Lines, axis: str = "") -> str:
    """Draw a figure of lines; nothing where none of them has a value."""
    if not any(cycle.measure(curve.key) is not None for cycle in run.cycles for curve in figure.curves):
        return ""
    with drawing(figure.name) as d:
        for curve in figure.curves:
            if curve.band:
                band(d, run, f"{curve.key}_low", f"{curve.key}_high", curve.colour, label=curve.band)
            line(d, run, curve.key, curve.label, curve.colour)
        control(d, run, figure.control)
        if figure.threshold:
            mark(d, threshold(run, figure.threshold), MARKS[figure.threshold])
        d.percent(axis or figure.axis) if figure.shares else d.unit(axis or figure.axis)
        d.cycles(run.numbers)
        return d.svg()


def threshold(run: Run, name: Threshold) -> float:
    """Return the run's own threshold of this name."""
    return run.summary.spec.selection.threshold if name == "selection" else run.summary.spec.novelty.threshold


def control(d: Drawing, run: Run, key: str) -> None:
    """Draw the frozen control's value, where there is one."""
    cycles = run.control.summary.begun if run.control else []
    if cycles:
        heights = series(cycles, key)
        d.axes.plot([cycle.cycle for cycle in cycles], heights, "s--", color=MUTED, markersize=3, linewidth=1.3)
        _named(d, heights, CONTROL, MUTED)


def _named(d: Drawing, heights: Sequence[float], label: str, colour: str) -> None:
    drawn = [height for height in heights if not np.isnan(height)]
    if drawn:
        d.end(drawn[-1], label, colour)


def mark(d: Drawing, height: float, label: str) -> None:
    """Draw a threshold and its name."""
    d.axes.axhline(height, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
    along = d.axes.get_yaxis_transform()
    d.axes.text(0.995, height, label, transform=along, color=MUTED, ha="right", va="bottom", fontsize=8, zorder=5)


def cloud(run: Run, figure: Cloud, groups: Mapping[int, Sequence[float]]) -> str:
    """Draw every value as a point, the shape of their distribution behind, the median as a bar; nothing without any."""
    if not any(groups.values()):
        return ""
    jitter = np.random.default_rng(0)
    with drawing(figure.name) as d:
        shaped = {n: group for n, group in groups.items() if len(set(group)) > 2}
        if shaped:
            violins: dict[str, Any] = d.axes.violinplot(
                list(shaped.values()), list(shaped), widths=0.85, showextrema=False
            )
            for body in violins["bodies"]:
                body.set(facecolor=SERIES[0], edgecolor="none", alpha=0.22)
        for n, group in groups.items():
            d.axes.scatter(
                n + jitter.uniform(-0.16, 0.16, len(group)), group, s=7, color=SERIES[0], alpha=0.65, linewidths=0
            )
            if group:
                d.axes.plot(n, float(np.median(group)), "_", color=INK, markersize=18)
        mark(d, threshold(run, figure.threshold), MARKS[figure.threshold])
        d.axes.set_ylabel(figure.axis)
        d.axes.set_ylim(-0.02, 1.02)
        d.cycles(list(groups))
        return d.svg()


def stacked(run: Run, figure: Stack, tallies: Sequence[Mapping[str, float | None]]) -> str:
    """Draw amounts on top of each other; nothing where all are 0."""
    shown = [part for part in figure.parts if any(tally.get(part) for tally in tallies)]
    if not shown:
        return ""
    with drawing(figure.name) as d:
        floor = np.zeros(len(tallies))
        for part in shown:
            heights = np.array([tally.get(part) or 0 for tally in tallies], dtype=float)
            d.axes.bar(run.numbers, heights, 0.72, bottom=floor, label=words(part), color=SERIES[figure.parts[part]])
            floor += heights
        d.axes.set_ylabel(figure.axis)
        d.cycles(run.numbers)
        return d.svg(columns=4)
