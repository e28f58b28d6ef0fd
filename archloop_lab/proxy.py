"""`archloop proxy`: how well one epoch with one seed tells which networks are good."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from archloop import protocols
from archloop.protocols.model import Protocol
from archloop_lab import files, lock, rescoring
from archloop_lab.report import sheet
from archloop_lab.report.figure import SERIES, drawing
from archloop_lab.report.plots import Plot
from archloop_lab.report.sheet import Section
from archloop_lab.resampling import Agreement, agreement
from archloop_lab.rescoring import Advance, Network, Scores
from archloop_lab.run_directory import RunDirectory


class Ranking(NamedTuple):
    """The networks' accuracies under one change of the protocol, and how well the protocol's own order agrees."""

    label: str
    accuracies: list[float]
    agreement: Agreement | None


def proxy(run: Path, epochs: Sequence[int], seeds: Sequence[int], sample: int, advance: Advance) -> Path:
    """Score a sample of the valid ones anew, and report. Done again it goes on.

    Raises NotFound, Unavailable, Conflict.
    """
    spec = RunDirectory(run).manifest().spec
    base = protocols.load(spec.protocol)
    changed = [longer(base, count) for count in epochs] + [base.reseeded(seed) for seed in seeds]
    with lock.held(run):
        return _proxy(run, base, changed, sample, advance)


def _proxy(run: Path, base: Protocol, changed: Sequence[Protocol], sample: int, advance: Advance) -> Path:
    chosen = spread(asyncio.run(rescoring.networks(run, admitted=False)), sample)
    scores = asyncio.run(rescoring.score(chosen, [base, *changed], run / "proxy.jsonl", advance))
    found = [_ranking(chosen, scores, base, other) for other in changed]
    files.write_csv(run / "proxy.csv", _rows(chosen, scores, [base, *changed]))
    _write(run, rescoring.accuracies(chosen, scores, base.name), found)
    return run / "proxy.html"


def spread(networks: Sequence[Network], size: int) -> list[Network]:
    """Take so many of them, evenly over their order, the first and the last included."""
    if size >= len(networks):
        return list(networks)
    return [networks[round(place * (len(networks) - 1) / max(1, size - 1))] for place in range(size)]


def longer(base: Protocol, epochs: int) -> Protocol:
    """Return the protocol with more epochs, and as much more time."""
    more = epochs / base.epochs
    seconds = {key: getattr(base.limits, key) * max(1.0, more) for key in ("cpu_seconds", "wall_seconds")}
    limits = base.limits.model_copy(update=seconds)
    return base.model_copy(update={"name": f"{base.name}, {epochs} epochs", "epochs": epochs, "limits": limits})


def _ranking(chosen: Sequence[Network], scores: Scores, base: Protocol, other: Protocol) -> Ranking:
    own, others = (rescoring.accuracies(chosen, scores, protocol.name) for protocol in (base, other))
    return Ranking(other.name, others, agreement(own, others))


def _write(run: Path, own: Sequence[float], found: Sequence[Ranking]) -> None:
    run_id, spec, _ = RunDirectory(run).manifest()
    table = [["", "agreement of the order"], *([r.label, str(r.agreement or "too few, or all equal")] for r in found)]
    sheet.write(
        run / "proxy.html",
        f"How much does one epoch tell? {run_id}",
        f"{len(own)} valid candidates, spread evenly over their accuracy under {spec.protocol}, trained anew.",
        [
            Section("The same order?", table=table, note=_NOTE),
            Section("One by one", plots=[Plot(r.label, _PLOT, _scatter(spec.protocol, own, r)) for r in found]),
        ],
    )


_NOTE = (
    "Spearman's ρ with a 95 % bootstrap interval, and Kendall's τ: 1 is the same order, 0 none. Agreement between seeds"
    " bounds what any number of epochs can reach. One by one: proxy.csv."
)
_PLOT = "A point for each network; on the line both are equal."


def _rows(chosen: Sequence[Network], scores: Scores, under: Sequence[Protocol]) -> list[dict[str, Any]]:
    return [
        {"candidate": n.name, "place": n.place, "protocol": p.name, "epochs": p.epochs, "seed": p.seed}
        | {key: getattr(scores[n.name, p.name], key) for key in ("outcome", "accuracy", "test_accuracy")}
        for p in under
        for n in chosen
    ]


def _scatter(protocol: str, own: Sequence[float], found: Ranking) -> str:
    with drawing(f"proxy-{found.label}") as d:
        d.axes.axline((0, 0), slope=1, color=SERIES[7], linewidth=1)
        d.axes.scatter(own, found.accuracies, s=16, color=SERIES[0], alpha=0.7, linewidths=0)
        d.axes.set_xlabel(f"accuracy under {protocol}")
        d.axes.set_ylabel(f"accuracy, {found.label}")
        return d.svg()
