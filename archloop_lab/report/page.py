"""Writes the page: the view and the figures, through one template that escapes whatever it is given."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from markupsafe import Markup

from archloop import numerals
from archloop_lab.remembered import Line
from archloop_lab.report import edits, findings, later_work, paper, sheet, tables, versions, view
from archloop_lab.report.plots import all_plots
from archloop_lab.report.primitives import Run
from archloop_lab.report.versions import Training
from archloop_lab.report.view import Control, Json
from archloop_lab.summary import AnalysedSummary
from services.registry.records import Candidate
from services.registry.statistics import collapses

_NOTHING: Json = MappingProxyType({})


def write(
    summary: AnalysedSummary,
    candidates: Sequence[Candidate],
    out: Path,
    *,
    codes: Mapping[str, str] = _NOTHING,
    manifest: Json = _NOTHING,
    control: Control | None = None,
    trainings: Mapping[int, Training] = MappingProxyType({}),
    memorized: Mapping[str, float] = _NOTHING,
    memory: Sequence[Line] = (),
) -> None:
    """Write one HTML file, whole or not at all, and cycles.csv, candidates.csv and architectures.csv beside it.

    `manifest` is in the JSON form of the run's directory, `codes` holds the sources of `showcase(candidates)` by
    candidate id, `control` is a frozen run to show beside it, `trainings` tells by cycle how its adapters came about,
    `memorized` is the similarity of candidates to the nearest training example, and `memory` what prompts said of the
    cycles before theirs.
    """
    run = Run(summary, candidates, control, trainings)
    page = sheet.template("report.html.j2").render(
        run_id=summary.run_id,
        facts=view.facts(summary, candidates, manifest),
        tiles=view.tiles(summary, control),
        unique=numerals.count(summary.unique_total),
        plots={section: [p._replace(svg=Markup(p.svg)) for p in plots] for section, plots in all_plots(run).items()},  # noqa: S704
        **_answers(run),
        cycles=summary.begun,
        best=view.best(summary, candidates, codes),
        edits=edits.rows(summary.begun),
        collapse=collapses.rows(summary.begun, summary.spec),
        watched=summary.spec.collapse,
        lineage=versions.lineage(summary, trainings),
        method="sft" if summary.spec.frozen else summary.spec.training.method,
        memory=memory,
        acts=view.acts(summary),
        control=control,
        frozen=summary.spec.frozen,
        threshold=summary.spec.selection.threshold,
        scope="of any run" if summary.spec.novelty.scope == "global" else "of this run",
        similarity=summary.spec.novelty.threshold,
    )
    sheet.put(page, out)
    tables.write(summary, candidates, out.parent, memorized)


def _answers(run: Run) -> dict[str, Any]:
    """Collect what the page says in words and tables."""
    last, lines = findings.against_control(run)
    return {
        "progress": findings.progress(run),
        "confirmed": findings.confirmed(run),
        "confirmation": run.summary.confirmation,
        "compared": lines,
        "compared_cycle": last,
        "unlike": findings.unlike(run),
        "paper": paper.table(run),
        "later_work": later_work.table(run),
        "paper_differences": paper.differences(run.summary.spec),
        "costs": findings.costs(run),
    }
