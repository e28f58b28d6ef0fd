"""`archloop run --server URL`: ask a deployment for a run and follow it to its end, over the registry's API."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from archloop.contracts.spec import RunSpec
from archloop.errors import Unavailable
from archloop.training_pairs import TrainingPair
from archloop_cli import terminal
from archloop_cli.asking import refuse_taken
from archloop_cli.options import CliSettings
from archloop_cli.progress import Progress, cycle_table
from archloop_lab import bootstrap_pairs, folders, lock, reproduction
from archloop_lab.remote_registry import PATIENCE_S, RemoteRegistry
from archloop_lab.run_directory import RunDirectory
from services.registry.statistics.summary import Summary

_POLL_S = 1.0
_POLL_SHARE = 9


def drive(server: str, run_id: str, spec: RunSpec, directory: Path, pairs: Path | None = None) -> Summary:
    """Ask for the run, show it live until it ends, and leave summary.json and report.html in the directory."""
    reproduction.require_elsewhere(spec)
    refuse_taken(directory)
    found = bootstrap_pairs.read(pairs) if pairs else None
    run = RunDirectory(directory)
    with folders.begun(directory, unless=run.summary_file.name), lock.held(directory):
        return asyncio.run(_drive(server, run_id, spec, run, found))


async def _drive(
    server: str, run_id: str, spec: RunSpec, run: RunDirectory, pairs: Sequence[TrainingPair] | None
) -> Summary:
    async with RemoteRegistry.open(server, CliSettings.load().token, "--server") as registry:
        if pairs is not None:
            kept = await registry.keep(pairs)
            assert kept.pairs is not None
            spec = bootstrap_pairs.beginning(spec, kept.pairs, kept.count)
        bootstrap_pairs.require(spec)
        await registry.request(run_id, spec)
        terminal.say(f"{run_id}: {spec.cycles} cycles × {spec.candidates} candidates on {spec.protocol}, at {server}")
        summary = await _followed(registry, run_id, Progress(run_id, spec))
        terminal.draw(cycle_table(summary, title=f"{run_id}: {summary.reason}"))
        from archloop_lab import run_report  # it takes seconds to import

        await run_report.write_remote(registry, summary, run, server)
    return summary


async def _followed(registry: RemoteRegistry, run_id: str, progress: Progress) -> Summary:
    latest, pause_s = await _recorded(registry, run_id), _POLL_S

    async def read() -> Summary:
        return latest

    async with progress.following(read) as refresh:
        while True:
            await refresh()
            if latest.reason is not None:
                return latest
            await asyncio.sleep(pause_s)
            asked = time.monotonic()
            latest = await _recorded(registry, run_id)
            progress.parked = await registry.parked()
            # Looking must not become the registry's main work, however long a run gets.
            pause_s = max(_POLL_S, _POLL_SHARE * (time.monotonic() - asked))


async def _recorded(registry: RemoteRegistry, run_id: str) -> Summary:
    """Wait for the summary until the queued request is recorded. Raises Unavailable after a while."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while (found := await registry.summary(run_id)) is None:
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise Unavailable(f"run {run_id} was asked for and is not recorded: does the registry consume?") from None
    return found
