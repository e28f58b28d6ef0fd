"""Runs a study's cells, each in a process and a directory of its own, and goes on where it was interrupted."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import yaml

from archloop.errors import Unavailable
from archloop_lab.folders import folder
from archloop_lab.run_directory import RunDirectory
from archloop_lab.study.plan import Cell

Advance = Callable[[str, int, int], None]
After = Callable[[Cell], Awaitable[None]]
_LOOK_S = 2.0


async def run_all(cells: Sequence[Cell], directory: Path, at_once: int, advance: Advance, after: After) -> None:
    """Bring every cell to its end, `at_once` at a time, and do what comes `after` it; one that fails stops no other.

    Raises Unavailable that says what became of those that failed.
    """
    places = asyncio.Semaphore(at_once)

    async def one(cell: Cell) -> None:
        async with places:
            await _run(cell, directory / cell.name, advance)
            await after(cell)

    ends = await asyncio.gather(*map(one, cells), return_exceptions=True)
    if failed := [str(end) for end in ends if end is not None]:
        error = Unavailable(f"{len(failed)} of {len(cells)} runs did not come to their end")
        for line in failed:
            error.add_note(line)
        raise error


async def _run(cell: Cell, directory: Path, advance: Advance) -> None:
    if not RunDirectory(directory).ended:
        folder(directory)
        async with _watched(cell, directory, advance):
            await _command(cell, directory)
    total = cell.spec.cycles * cell.spec.candidates
    advance(cell.name, total, total)


async def _command(cell: Cell, directory: Path) -> None:
    """Begin or resume a run: it has its outputs at its end, so one that has none is not done."""
    if RunDirectory(directory).manifest_file.exists():
        arguments = ["resume", "--no-page", str(directory)]
    else:
        preset = directory / "preset.yaml"
        preset.write_text(yaml.safe_dump(cell.spec.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
        arguments = ["run", "--no-page", "--preset", str(preset), "--out", str(directory)]
    log = directory / "output.log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "archloop_cli", *arguments, stdout=output, stderr=output
        )
        try:
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
    if code:
        raise Unavailable(f"{cell.name} ended with code {code}: {_last_line(log)} ({log})")


@asynccontextmanager
async def _watched(cell: Cell, directory: Path, advance: Advance) -> AsyncIterator[None]:
    watcher = asyncio.create_task(_watch(cell, directory, advance))
    try:
        yield
    finally:
        watcher.cancel()


async def _watch(cell: Cell, directory: Path, advance: Advance) -> None:
    total = cell.spec.cycles * cell.spec.candidates
    while True:
        await asyncio.sleep(_LOOK_S)
        advance(cell.name, await _settled(directory), total)


async def _settled(directory: Path) -> int:
    """Count the candidates that are done with."""
    if not RunDirectory(directory).registry_file.exists():
        return 0
    async with RunDirectory(directory).rows() as store:
        runs = (await store.runs()).items
        return sum([cycle.settled for run in runs for cycle in await store.cycles(run.run_id)])


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][-300:] if lines else "it said nothing"
