"""Studies: several variants of one run, each with several seeds, and one report that sets them against each other."""

import asyncio
from pathlib import Path

from archloop_cli.bars import bars
from archloop_cli.study import plan
from archloop_cli.study.plan import Study
from archloop_cli.study.runner import run_all


def run(name: str, directory: Path, at_once: int) -> Study:
    """Run what is not yet there. Raises NotFound, InvalidInput, Unavailable."""
    study = plan.load(name)
    directory.mkdir(parents=True, exist_ok=True)
    with bars() as advance:
        asyncio.run(run_all(list(study.cells()), directory, at_once, advance))
    return study
