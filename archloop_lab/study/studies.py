"""Runs a study, or what is left of it, and reports."""

import asyncio
from pathlib import Path

from archloop_lab import folders, lock
from archloop_lab.rescoring import Advance
from archloop_lab.study import page, plan, results
from archloop_lab.study.runner import run_all


def run(name: str, directory: Path, at_once: int, advance: Advance) -> None:
    """Run what is not yet there, and report. Raises NotFound, InvalidInput, Unavailable, Conflict."""
    study = plan.load(name)
    cells = list(study.cells())
    with lock.held(folders.folder(directory)):
        try:
            asyncio.run(run_all(cells, directory, at_once, advance))
        except KeyboardInterrupt as end:
            end.add_note("the same command goes on with it")
            raise
        finally:
            page.write(study, results.read(cells, directory), directory)
