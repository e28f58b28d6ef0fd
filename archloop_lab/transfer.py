"""`archloop transfer`: whether architectures that were found under one protocol hold under others."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

from archloop import protocols
from archloop.numerals import number, percent
from archloop.protocols.model import Protocol
from archloop_lab import files, lock, rescoring
from archloop_lab.report import sheet
from archloop_lab.report.figure import MUTED, SERIES, drawing
from archloop_lab.report.plots import Plot
from archloop_lab.report.sheet import Section
from archloop_lab.resampling import Agreement, agreement
from archloop_lab.rescoring import Advance, Network, Scores
from archloop_lab.run_directory import RunDirectory
from services.registry.statistics.intervals import wilson


class Transfer(NamedTuple):
    """How a run's architectures did under another protocol; accuracies are those of the valid ones."""

    protocol: Protocol
    tried: int
    accuracies: list[float]
    agreement: Agreement | None


def transfer(run: Path, names: Sequence[str], top: int | None, advance: Advance) -> Path:
    """Score them, best first, and report. Done again it goes on.

    Raises NotFound, InvalidInput, Unavailable, Conflict.
    """
    targets = [protocols.load(name) for name in names]
    RunDirectory(run).manifest()
    with lock.held(run):
        return _transfer(run, targets, top, advance)


def _transfer(run: Path, targets: Sequence[Protocol], top: int | None, advance: Advance) -> Path:
    chosen = asyncio.run(rescoring.networks(run, admitted=True))[:top]
    scores = asyncio.run(rescoring.score(chosen, targets, run / "transfer.jsonl", advance))
    found = [_transferred(chosen, scores, target) for target in targets]
    files.write_csv(run / "transfer.csv", _rows(chosen, scores, targets))
    _write(run, chosen, scores, found)
    return run / "transfer.html"


def _transferred(chosen: Sequence[Network], scores: Scores, target: Protocol) -> Transfer:
    every = rescoring.accuracies(chosen, scores, target.name)
    valid = [a for n in chosen if scores[n.name, target.name].valid and (a := scores[n.name, target.name].accuracy)]
    return Transfer(target, len(chosen), valid, agreement([n.accuracy for n in chosen], every))


def _write(run: Path, chosen: Sequence[Network], scores: Scores, found: Sequence[Transfer]) -> None:
    run_id, spec, _ = RunDirectory(run).manifest()
    plots = [Plot(f"{spec.protocol} and {t.protocol.name}", _PLOT, _scatter(chosen, scores, t)) for t in found]
    sheet.write(
        run / "transfer.html",
        f"{run_id} under other protocols",
        f"{len(chosen)} architectures that were admitted under {spec.protocol}, trained anew under others.",
        [
            Section("Do they hold?", table=[_HEAD, *map(_row, found)], note=_NOTE),
            Section("One by one", plots=plots),
        ],
    )


_PLOT = "A point for each architecture; those at the bottom are not valid there. Line: chance of the new protocol."
_HEAD = ("", "valid", "95 %", "mean", "median", "best", "chance", "rank agreement with the run")
_NOTE = (
    "Accuracy on the validation split of each protocol, over the valid ones. Rank agreement: Spearman's ρ with a 95 %"
    " bootstrap interval and Kendall's τ, over all, with 0 for what is not valid. The run's own accuracies are of"
    " selected architectures, so their range is narrow and agreement lower than over all candidates. One by one:"
    " transfer.csv."
)


def _row(found: Transfer) -> list[str]:
    valid = len(found.accuracies)
    interval = wilson(valid, found.tried)
    return [
        found.protocol.name,
        f"{valid} of {found.tried}",
        "" if interval is None else f"{percent(interval.low)} – {percent(interval.high)}",
        number(fmean(found.accuracies) if valid else None),
        number(median(found.accuracies) if valid else None),
        number(max(found.accuracies, default=None)),
        number(1 / found.protocol.dataset.classes),
        str(found.agreement or "too few, or all equal"),
    ]


def _rows(chosen: Sequence[Network], scores: Scores, targets: Sequence[Protocol]) -> list[dict[str, Any]]:
    return [
        {"candidate": n.name, "place": n.place, "run_accuracy": n.accuracy, "protocol": t.name}
        | {key: getattr(scores[n.name, t.name], key) for key in ("outcome", "accuracy", "test_accuracy", "parameters")}
        for t in targets
        for n in chosen
    ]


def _scatter(chosen: Sequence[Network], scores: Scores, found: Transfer) -> str:
    with drawing(f"transfer-{found.protocol.name}") as d:
        there = rescoring.accuracies(chosen, scores, found.protocol.name)
        d.axes.scatter([n.accuracy for n in chosen], there, s=16, color=SERIES[0], alpha=0.6, linewidths=0)
        d.axes.axhline(1 / found.protocol.dataset.classes, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
        d.axes.set_xlabel("accuracy in the run")
        d.axes.set_ylabel(f"accuracy under {found.protocol.name}")
        return d.svg()
