"""The figures of a run as data that the page's script draws with uPlot."""

import random
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from archloop.contracts.base import Frozen
from archloop.contracts.spec import RunSpec
from services.registry.statistics import figures
from services.registry.statistics.figures import Cloud, Lines, Stack
from services.registry.statistics.summary import CycleSummary, Summary

_MOST_POINTS = 3000
_MUTED = -1  # the colour of what stands behind
# arXiv 2601.02997 tells the first cycle and the last (of the valid rate the highest), and no other.
PAPER: Mapping[str, tuple[float, float]] = {
    "valid_rate": (0.44, 0.745),
    "mean_accuracy": (0.2806, 0.5099),
    "share_ge_threshold_trained": (0.0204, 0.9681),
}


class Chart(Frozen):
    """A figure: its title, what to read from it, and what is drawn."""

    name: str
    title: str
    caption: str
    data: dict[str, Any]


class Told(NamedTuple):
    """What is drawn of a run: its summary, the accuracies of its cycles, the control's summary."""

    summary: Summary
    accuracies: Mapping[int, Sequence[float]]
    control: Summary | None = None

    @property
    def cycles(self) -> list[CycleSummary]:
        """Those that have a candidate."""
        return begun(self.summary)


def begun(summary: Summary) -> list[CycleSummary]:
    """Return the cycles that have a candidate, in order."""
    return [cycle for cycle in summary.cycles if cycle.generated]


def closed(summary: Summary) -> list[CycleSummary]:
    """Return the cycles whose rates are known: in one under way, what is not evaluated yet would count as a failure."""
    return [cycle for cycle in begun(summary) if cycle.closed]


def of_run(told: Told) -> list[Chart]:
    """Make every figure for which the run has data."""
    found = [
        _lines(figures.VALID, told),
        _lines(figures.ACCURACY, told),
        _lines(figures.GOOD_SHARE, told),
        _cloud(figures.DISTRIBUTION, told.accuracies, told.summary.spec),
        _stack(figures.OUTCOMES, told, [cycle.outcomes for cycle in told.cycles]),
        _lines(figures.NOVELTY_RATE, told),
        _stack(figures.VERDICTS, told, [cycle.model_dump(include={*figures.VERDICTS.parts}) for cycle in told.cycles]),
        _stack(figures.FAMILIES, told, [_shares(cycle.families) for cycle in told.cycles], shares=True),
        _stack(figures.SECONDS, told, [cycle.seconds.model_dump() for cycle in told.cycles], side_by_side=True),
        loss([(f"after {cycle.cycle}", cycle.loss_curve) for cycle in told.cycles]),
    ]
    return [chart for chart in found if chart is not None]


def compared(figure: Lines, curve: str, summaries: Mapping[str, Summary]) -> Chart | None:
    """Lay one curve of several runs over each other."""
    longest = max((closed(summary) for summary in summaries.values()), key=len, default=[])
    at = [cycle.cycle for cycle in longest]
    drawn = [
        _series(name, place, closed(summary), curve, at, banded=f"{curve}_low" in CycleSummary.model_fields)
        for place, (name, summary) in enumerate(summaries.items())
    ]
    if not any(value is not None for line in drawn for value in line["values"]):
        return None
    data = {"kind": "lines", "x": at, "series": drawn, "shares": figure.shares, "axis": figure.axis}
    return Chart(name=f"{figure.name}-{curve}", title=figure.title, caption="", data=data)


def loss(curves: Sequence[tuple[str, Sequence[float]]]) -> Chart | None:
    """Draw training losses, one training after the other."""
    known = [(label, curve) for label, curve in curves if len(curve) > 1]
    if not known:
        return None
    total, drawn, start = sum(len(curve) for _, curve in known), [], 0
    for place, (label, curve) in enumerate(known):
        values: list[float | None] = [None] * total
        values[start : start + len(curve)] = curve
        drawn.append({"label": label, "colour": place % 2, "values": values, "points": False})
        start += len(curve)
    data = {"kind": "lines", "x": list(range(1, total + 1)), "series": drawn, "axis": figures.LOSS.axis, "floor": True}
    return _chart(figures.LOSS, data | {"along": "steps of optimisation", "legend": len(known) < 8})


def own_loss(curve: Sequence[float]) -> Chart | None:
    """Draw a network's own training loss."""
    drawn = loss([("loss", curve)])
    told = {"title": "Its training loss", "caption": "The child's word, as is all that it measures of itself."}
    return drawn and drawn.model_copy(update=told)


def _chart(figure: Lines | Stack | Cloud, data: dict[str, Any]) -> Chart:
    return Chart(name=figure.name, title=figure.title, caption=figure.caption, data=data)


def _lines(figure: Lines, told: Told) -> Chart | None:
    cycles = closed(told.summary)
    if not any(getattr(cycle, curve.key) is not None for cycle in cycles for curve in figure.curves):
        return None
    at = [cycle.cycle for cycle in cycles]
    drawn = [_series(c.label, c.colour, cycles, c.key, at, banded=bool(c.band)) for c in figure.curves]
    if told.control is not None and figure.control:
        behind = _series(figures.CONTROL, _MUTED, closed(told.control), figure.control, at)
        drawn.append(behind | {"dash": [6, 4]})
    drawn += [_paper(curve.label, figure, curve.key, at) for curve in figure.curves if curve.key in PAPER and at]
    marks = [_mark(figure, told.summary.spec)] if figure.threshold else []
    data = {"kind": "lines", "x": at, "series": drawn, "marks": marks, "shares": figure.shares, "axis": figure.axis}
    return _chart(figure, data | {"unit": True})


def _series(
    label: str, colour: int, cycles: Sequence[CycleSummary], key: str, at: Sequence[int], *, banded: bool = False
) -> dict[str, Any]:
    by_cycle = {cycle.cycle: cycle for cycle in cycles}

    def values(name: str) -> list[float | None]:
        return [getattr(by_cycle[n], name) if n in by_cycle else None for n in at]

    drawn = {"label": label, "colour": colour, "values": values(key)}
    return drawn | {"low": values(f"{key}_low"), "high": values(f"{key}_high")} if banded else drawn


def _paper(label: str, figure: Lines, key: str, at: Sequence[int]) -> dict[str, Any]:
    """Draw from what the paper tells of its first cycle to what it tells of its last, whatever lay between."""
    first, last = PAPER[key]
    more = f", {label}" if len(figure.curves) > 1 else ""
    values = [first, *[None] * (len(at) - 2), last] if len(at) > 1 else [first]
    return {"label": f"paper{more}", "colour": _MUTED, "values": values, "dash": [1, 4], "gaps": True, "points": False}


def _mark(figure: Lines | Cloud, spec: RunSpec) -> dict[str, Any]:
    at = spec.selection.threshold if figure.threshold == "selection" else spec.novelty.threshold
    return {"at": at, "label": figures.MARKS[figure.threshold]}


def _stack(
    figure: Stack,
    told: Told,
    tallies: Sequence[Mapping[Any, float | None]],
    *,
    shares: bool = False,
    side_by_side: bool = False,
) -> Chart | None:
    shown = [part for part in figure.parts if any(tally.get(part) for tally in tallies)]
    if not shown:
        return None
    drawn = [
        {"label": part.replace("_", " "), "colour": figure.parts[part], "values": [t.get(part) or 0 for t in tallies]}
        for part in shown
    ]
    at = [cycle.cycle for cycle in told.cycles]
    data = {"kind": "bars", "x": at, "series": drawn, "shares": shares, "axis": figure.axis, "beside": side_by_side}
    return _chart(figure, data)


def _shares(tally: Mapping[Any, int]) -> dict[Any, float]:
    total = sum(tally.values())
    return {part: amount / total for part, amount in tally.items()}


def _cloud(figure: Cloud, groups: Mapping[int, Sequence[float]], spec: RunSpec) -> Chart | None:
    """Draw a point for each value; of very many an even sample."""
    total = sum(map(len, groups.values()))
    if not total:
        return None
    step, jitter = -(-total // _MOST_POINTS), random.Random(0)  # noqa: S311 - it only spreads points out
    points = sorted(
        (cycle + jitter.uniform(-0.18, 0.18), value)
        for cycle, values in groups.items()
        for value in sorted(values)[::step]
    )
    medians = [[cycle, median(values)] for cycle, values in groups.items() if values]
    data = {"kind": "cloud", "x": [x for x, _ in points], "y": [y for _, y in points], "medians": medians}
    more = f" Every {step}th is drawn." if step > 1 else ""
    chart = _chart(figure, data | {"marks": [_mark(figure, spec)], "axis": figure.axis, "unit": True})
    return chart.model_copy(update={"caption": figure.caption + more})
