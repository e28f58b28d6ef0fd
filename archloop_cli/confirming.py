"""`archloop confirm`: the best of a run on other training seeds, and the report anew with what came of it."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archloop.contracts.spec import ConfirmSpec
from archloop.errors import NotFound
from archloop_cli import terminal
from archloop_cli.bars import bars
from archloop_lab import confirmation, lock
from archloop_lab.run_directory import RunDirectory

if TYPE_CHECKING:
    from services.evaluator.settings import EvaluatorSettings


def confirm(
    directory: Annotated[Path, typer.Argument(metavar="RUN")],
    count: Annotated[int, typer.Option(min=1, max=10_000, help="So many of the best.")] = 5,
    seeds: Annotated[int, typer.Option(min=3, max=1000, help="On so many training seeds that had no part.")] = 3,
) -> None:
    """Train a run's best anew on other seeds: what they are worth, and how large a difference must be."""
    from archloop_lab import run_report

    run = RunDirectory(directory)
    run.manifest()
    with lock.held(directory):
        asyncio.run(_confirm(run, ConfirmSpec(count=count, seeds=seeds)))
        asyncio.run(run_report.write(run))
    _say(run)


async def at_the_end(run: RunDirectory, asked: ConfirmSpec, settings: "EvaluatorSettings") -> None:
    """Do it for a run that came to its end, where anything of it is valid."""
    try:
        await _confirm(run, asked, settings)
    except NotFound as error:
        terminal.say(f"nothing is confirmed: {error}", style="yellow")
    else:
        _say(run)


async def _confirm(run: RunDirectory, asked: ConfirmSpec, settings: "EvaluatorSettings | None" = None) -> None:
    from archloop_lab import confirming

    with bars() as advance:
        await confirming.confirm(run.path, asked, advance, settings)


def _say(run: RunDirectory) -> None:
    found = run.confirmation()
    for line in confirmation.sentences(found) if found else ():
        terminal.say(line, mark="confirmed")
