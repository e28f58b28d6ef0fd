"""Runs a study, or what is left of it, and reports."""

import asyncio
from functools import partial
from pathlib import Path

from archloop_lab import folders, lock, planning
from archloop_lab.planning import Plan
from archloop_lab.rescoring import Advance
from archloop_lab.study import course, page, plan, results
from archloop_lab.study.plan import Cell, Study
from archloop_lab.study.runner import run_all


def run(name: str, directory: Path, at_once: int, advance: Advance) -> None:
    """Run what is not yet there, and report. Raises NotFound, InvalidInput, Unavailable, Conflict."""
    study = plan.load(name)
    cells = list(study.cells())
    after = partial(_confirmed, study, directory)
    with lock.held(folders.folder(directory)):
        try:
            asyncio.run(run_all(cells, directory, at_once, advance, after))
        except KeyboardInterrupt as end:
            end.add_note("the same command goes on with it")
            raise
        finally:
            page.write(study, results.read(cells, directory), directory)


def plans(name: str) -> dict[str, Plan]:
    """Return, by variant, what one of its runs will do and take; nothing is started. Raises NotFound, InvalidInput."""
    study = plan.load(name)
    return {cell.variant: planning.plan(cell.spec, None) for cell in study.cells() if cell.seed == study.seeds[0]}


async def _confirmed(study: Study, directory: Path, cell: Cell) -> None:
    """Train those that led in this run on other seeds, if the study asks for it."""
    if study.confirmed_by is not None:
        await course.measure(directory / cell.name, study.confirmed_by, lambda *_: None)
