"""Studies: several variants of one run, each with several seeds, and one report that sets them against each other."""

import asyncio
from pathlib import Path

from archloop_cli import lock, places
from archloop_cli.bars import bars
from archloop_cli.study import page, plan, results
from archloop_cli.study.runner import run_all


def run(name: str, directory: Path, at_once: int) -> None:
    """Run what is not yet there, and report. Raises NotFound, InvalidInput, Unavailable, Conflict."""
    study = plan.load(name)
    cells = list(study.cells())
    with lock.held(places.folder(directory)):
        try:
            with bars() as advance:
                asyncio.run(run_all(cells, directory, at_once, advance))
        except KeyboardInterrupt as end:
            end.add_note("the same command goes on with it")
            raise
        finally:
            page.write(study, results.read(cells, directory), directory)
