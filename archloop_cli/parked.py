"""`archloop parked`: messages that no retry mended, and what to do with them."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Annotated

import typer

from archloop.bus.parking import ParkingLot
from archloop.bus.port import Parked
from archloop.errors import NotFound

app = typer.Typer(no_args_is_help=True, help="Messages that no retry mended.")
Run = Annotated[Path, typer.Option("--run", help="Directory of the run.", metavar="RUN")]


@app.command("list")
def list_(run: Run, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """What is parked, oldest first."""
    for parked in _lot(run).list():
        if as_json:
            print(parked.model_dump_json(exclude={"stack"}))
        else:
            print(f"{parked.id}  {parked.first_failed:%F %T}  {parked.queue:<10}  {parked.reason}")


@app.command()
def show(parked_id: str, run: Run) -> None:
    """One message whole: reason, stack, body."""
    parked = _find(_lot(run), parked_id)
    print(f"queue:   {parked.queue}\nreason:  {parked.reason}\nattempt: {parked.attempt}\n\n{parked.stack}")
    body = parked.body.decode("utf-8", "backslashreplace")
    with contextlib.suppress(ValueError):
        body = json.dumps(json.loads(body), indent=2)
    print(body)


@app.command()
def replay(parked_id: str, run: Run) -> None:
    """Hand the message to its service again; it is parked again if that fails again."""
    asyncio.run(_replay(run, _find(_lot(run), parked_id).id))


async def _replay(run: Path, parked_id: str) -> None:
    from archloop_cli import embedded, runs

    _, spec = runs.stored_run(run)
    async with embedded.composed(run, spec.base_model) as loop:
        await loop.bus.replay(parked_id)
        await loop.settled()
        left = {parked.id for parked in await loop.bus.parked()}
    print("parked again" if parked_id in left else "handled")


def _lot(run: Path) -> ParkingLot:
    if not run.is_dir():
        raise NotFound("run directory", str(run))
    return ParkingLot(run / "parked")


def _find(lot: ParkingLot, parked_id: str) -> Parked:
    for parked in lot.list():
        if parked.id.startswith(parked_id):
            return parked
    raise NotFound("parked message", parked_id)
