"""`archloop parked`: messages that no retry mended, and what to do with them, in a run's directory or at a broker."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from archloop.bus.parking import ParkingLot
from archloop.bus.port import Bus, Parked
from archloop.errors import InvalidInput, NotFound
from archloop_cli import terminal
from archloop_cli.options import CliSettings, JsonLines
from archloop_lab import lock
from archloop_lab.manifests import Manifest

app = typer.Typer(no_args_is_help=True, help="Messages that no retry mended.")
Run = Annotated[
    Path | None,
    typer.Option(
        "--run", help="Directory of the run; without it, the broker of ARCHLOOP_CLI_BROKER_URL.", metavar="RUN"
    ),
]
Queue = Annotated[str | None, typer.Option("--queue", help="Of this queue only.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Or its beginning.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID…", help="Or their beginnings.")]
Everything = Annotated[bool, typer.Option("--all", help="Every message that is parked.")]


@app.command("list")
def list_(run: Run = None, queue: Queue = None, as_json: JsonLines = False) -> None:
    """List what is parked, oldest first."""
    for parked in asyncio.run(_parked(run, queue)):
        if as_json:
            terminal.put_json(parked.model_dump(mode="json", exclude={"stack"}))
        else:
            terminal.put(f"{parked.id}  {parked.first_failed:%F %T}  {parked.queue:<10}  {parked.reason}")


@app.command()
def show(parked_id: Id, run: Run = None) -> None:
    """Show one message whole: reason, stack, body."""
    parked = _named(parked_id, asyncio.run(_parked(run)))
    terminal.put(f"queue:   {parked.queue}")
    terminal.put(f"reason:  {parked.reason}")
    terminal.put(f"attempt: {parked.attempt}")
    terminal.put("")
    terminal.put_lines(parked.stack)
    body = parked.body.decode("utf-8", "backslashreplace")
    with contextlib.suppress(ValueError):
        body = json.dumps(json.loads(body), indent=2)
    terminal.put_lines(body)


@app.command()
def replay(
    parked_id: Id = "",
    run: Run = None,
    everything: Everything = False,
    queue: Queue = None,
) -> None:
    """Hand messages to their service again; what fails again is parked again."""
    if bool(parked_id) == everything:
        raise InvalidInput("ID", parked_id, "the id of one message, or --all")
    chosen = _chosen(run, queue, None if everything else [parked_id])
    for parked, became in asyncio.run(_replayed(run, chosen)):
        terminal.put(f"{parked.id}  {parked.queue:<10}  {became}")


@app.command()
def drop(parked_ids: Ids = None, run: Run = None, everything: Everything = False, queue: Queue = None) -> None:
    """Forget messages for good; nobody handles them any more."""
    names = parked_ids or []
    if bool(names) == everything or not all(names):
        raise InvalidInput("ID", " ".join(names), "the ids of messages, or --all")
    chosen = _chosen(run, queue, None if everything else names)
    asyncio.run(_dropped(run, [parked.id for parked in chosen]))
    for parked in chosen:
        terminal.put(f"{parked.id}  {parked.queue:<10}  dropped")


def _chosen(run: Path | None, queue: str | None, names: Sequence[str] | None) -> list[Parked]:
    """Read what is parked and choose those of these names, each once; all where None."""
    found = asyncio.run(_parked(run, queue))
    if names is None:
        return found
    return list({parked.id: parked for parked in (_named(name, found) for name in names)}.values())


async def _parked(run: Path | None, queue: str | None = None) -> list[Parked]:
    """Read what is parked without the services, which may be down or at fault."""
    if run is None:
        async with _broker() as bus:
            return await bus.parked(queue)
    if not run.is_dir():
        raise NotFound("run directory", str(run))
    return ParkingLot(run / "parked").list(queue) if (run / "parked").is_dir() else []


async def _replayed(run: Path | None, chosen: Sequence[Parked]) -> list[tuple[Parked, str]]:
    """Say what became of each. At a broker, the services have it now; in a directory they are started for it."""
    ids = [parked.id for parked in chosen]
    if not ids:
        return []
    if run is None:
        async with _broker() as bus:
            await bus.replay(*ids)
        return [(parked, "handed over again") for parked in chosen]
    from archloop_lab.run_directory import RunDirectory

    manifest = RunDirectory(run).manifest()
    with lock.held(run):
        return await _replayed_in(run, manifest, chosen)


async def _dropped(run: Path | None, ids: Sequence[str]) -> None:
    """Forget them at the broker, or in a directory that no other process has."""
    if not ids:
        return
    if run is None:
        async with _broker() as bus:
            await bus.drop(*ids)
        return
    with lock.held(run):
        lot = ParkingLot(run / "parked")
        for parked_id in ids:
            lot.take(parked_id)


async def _replayed_in(run: Path, manifest: Manifest, chosen: Sequence[Parked]) -> list[tuple[Parked, str]]:
    from archloop_cli import embedded, layout

    ids = [parked.id for parked in chosen]
    placement = layout.laid_out(manifest.spec, layout.asked_for(manifest.content))
    async with embedded.composed(run, layout.Layout(placement, manifest.spec, run)) as loop:
        await loop.bus.replay(*ids)
        await loop.settled()
        left = {parked.id for parked in await loop.bus.parked()}
    return [(parked, "parked again" if parked.id in left else "handled") for parked in chosen]


@contextlib.asynccontextmanager
async def _broker() -> AsyncIterator[Bus]:
    """Connect to a deployment's broker, and declare nothing on it."""
    from archloop.ops.connecting import undeclared_broker

    async with undeclared_broker(CliSettings.load(), "; or name a run's folder by --run") as bus:
        yield bus


def _named(parked_id: str, parked: Sequence[Parked]) -> Parked:
    """Find the message whose id begins so. Raises NotFound, and InvalidInput where there are several."""
    found = [each for each in parked if each.id.startswith(parked_id)]
    if not found:
        raise NotFound("parked message", parked_id)
    if len(found) > 1:
        raise InvalidInput("ID", parked_id, f"the beginning of one id; {len(found)} begin so")
    return found[0]
