"""Runs a study, or what is left of it, and reports."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from archloop_lab import folders, lock
from archloop_lab.rescoring import Advance
from archloop_lab.study import course, page, plan, results
from archloop_lab.study.plan import Cell, Study
from archloop_lab.study.runner import run_all


def run(name: str, directory: Path, at_once: int, advance: Advance) -> None:
    """Run what is not yet there, and report. Raises NotFound, InvalidInput, Unavailable, Conflict."""
    study = plan.load(name)
    cells = list(study.cells())
    with lock.held(folders.folder(directory)):
        try:
            asyncio.run(run_all(cells, directory, at_once, advance))
            asyncio.run(_confirmed(study, cells, directory, advance))
        except KeyboardInterrupt as end:
            end.add_note("the same command goes on with it")
            raise
        finally:
            page.write(study, results.read(cells, directory), directory)


async def _confirmed(study: Study, cells: Sequence[Cell], directory: Path, advance: Advance) -> None:
    if study.confirmed_by is None:
        return
    for number, cell in enumerate(cells):
        await course.measure(directory / cell.name, study.confirmed_by, lambda *_: None)
        advance("who led, on other seeds", number + 1, len(cells))
