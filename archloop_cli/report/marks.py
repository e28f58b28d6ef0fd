"""The marks that figures are made of: lines, bands, clouds of points, stacked bars."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from archloop_cli.report.figure import INK, MUTED, SERIES, Drawing, drawing
from archloop_cli.report.view import Json, cycles_of


class Run(NamedTuple):
    """What is drawn: a run, its candidates, the frozen control beside it, and its trainings by cycle."""

    summary: Json
    candidates: Sequence[Json]
    control: Json | None = None
    trainings: Mapping[int, Json] = MappingProxyType({})

    @property
    def cycles(self) -> list[Json]:
        """Those with candidates."""
        return cycles_of(self.summary)

    @property
    def numbers(self) -> list[int]:
        """Of the cycles, along the bottom."""
        return [int(cycle["cycle"]) for cycle in self.cycles]


def series(cycles: Sequence[Json], key: str) -> list[float]:
    """One value a cycle; nan, which matplotlib leaves out, where there is none."""
    return [float("nan") if cycle.get(key) is None else float(cycle[key]) for cycle in cycles]


def line(d: Drawing, run: Run, key: str, label: str, colour: int) -> None:
    """One value a cycle."""
    d.axes.plot(run.numbers, series(run.cycles, key), "o-", color=SERIES[colour], label=label)


def band(d: Drawing, run: Run, low: str, high: str) -> None:
    """The 95 % interval around the first series."""
    lows, highs = series(run.cycles, low), series(run.cycles, high)
    d.axes.fill_between(run.numbers, lows, highs, color=SERIES[0], alpha=0.18, linewidth=0, label="95 % interval")


def control(d: Drawing, run: Run, key: str) -> None:
    """The frozen control's value, where there is one."""
    cycles = cycles_of(run.control or {})
    if cycles:
        numbers = [int(cycle["cycle"]) for cycle in cycles]
        d.axes.plot(
            numbers, series(cycles, key), "s--", color=MUTED, markersize=3, linewidth=1.3, label="frozen control"
        )


def mark(d: Drawing, height: float) -> None:
    """A threshold."""
    d.axes.axhline(height, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))


def cloud(name: str, groups: Mapping[int, Sequence[float]], threshold: float) -> str:
    """Every value as a point, the shape of their distribution behind, the median as a bar; nothing without values."""
    if not any(groups.values()):
        return ""
    jitter = np.random.default_rng(0)
    with drawing(name) as d:
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
        mark(d, threshold)
        d.axes.set_ylim(-0.02, 1.02)
        d.cycles(list(groups))
        return d.svg()


def stacked(name: str, run: Run, tallies: Sequence[Json], shown: Sequence[str], colours: Mapping[str, str]) -> str:
    """Counts on top of each other; nothing where all are 0."""
    if not any(tally.get(part) for tally in tallies for part in shown):
        return ""
    with drawing(name) as d:
        floor = np.zeros(len(tallies))
        for part in shown:
            heights = np.array([tally.get(part) or 0 for tally in tallies], dtype=float)
            d.axes.bar(run.numbers, heights, 0.72, bottom=floor, label=words(part), color=colours[part])
            floor += heights
        d.axes.set_ylabel("candidates")
        d.cycles(run.numbers)
        return d.svg(columns=4)


def words(name: str) -> str:
    """A name for people."""
    return name.replace("_", " ")
