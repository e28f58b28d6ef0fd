"""Writes the page: the view and the figures, through one template that escapes whatever it is given."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from markupsafe import Markup

from archloop_lab.report import findings, html, paper, tables, view
from archloop_lab.report.plots import all_plots
from archloop_lab.report.primitives import Run
from archloop_lab.report.view import Control, Json

_NOTHING: Json = MappingProxyType({})


def write(
    summary: Json,
    candidates: Sequence[Json],
    out: Path,
    *,
    codes: Mapping[str, str] = _NOTHING,
    manifest: Json = _NOTHING,
    control: Control | None = None,
    trainings: Mapping[int, Json] = MappingProxyType({}),
    memorized: Mapping[str, float] = _NOTHING,
) -> None:
    """Write one HTML file, whole or not at all, and cycles.csv, candidates.csv and architectures.csv beside it.

    `summary`, `candidates` and `manifest` are in the JSON form of the registry and the run's directory, `codes` holds
    the sources of `showcase(candidates)` by candidate id, `control` is a frozen run to show beside it,
    `trainings` are the manifests of its adapters, with the `seconds` that each took, by cycle, and `memorized` is the
    similarity of candidates to the nearest training example.
    """
    run = Run(summary, candidates, control, trainings)
    page = html.template("report.html.j2").render(
        run_id=summary.get("run_id", "run"),
        facts=view.facts(summary, candidates, manifest),
        tiles=view.tiles(summary, control),
        unique=view.count(summary.get("unique_total")),
        plots={section: [p._replace(svg=Markup(p.svg)) for p in plots] for section, plots in all_plots(run).items()},  # noqa: S704
        **_answers(run),
        cycles=view.cycles_of(summary),
        best=view.best(summary, candidates, codes),
        lineage=view.lineage(summary, trainings),
        control=control,
        frozen=bool((summary.get("spec") or {}).get("frozen")),
        threshold=view.selection_threshold(summary),
        scope=view.novelty_scope(summary),
        similarity=view.novelty_threshold(summary),
    )
    html.put(page, out)
    tables.write(summary, candidates, out.parent, memorized)


def _answers(run: Run) -> dict[str, Any]:
    """What the page says in words and tables."""
    last, lines = findings.against_control(run)
    return {
        "progress": findings.progress(run),
        "compared": lines,
        "compared_cycle": last,
        "unlike": findings.unlike(run),
        "paper": paper.table(run),
        "paper_differences": paper.differences(run.summary),
        "costs": findings.costs(run),
    }
