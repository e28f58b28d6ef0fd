"""Running the model server as a child process on a free loopback port."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from archloop.errors import Unavailable
from services.generator.transport import Admin

_START_S = 120.0
_STOP_S = 10.0


@asynccontextmanager
async def spawned(model: str, *, slots: int, threads: int, log: Path | None) -> AsyncIterator[str]:
    """Yield the URL of a healthy server of its own; it ends with the context, or with this process.

    Raises Unavailable, with the end of what the server said, where it does not come up.
    """
    sink = log.open("ab") if log else None
    try:
        process = await _start(model, slots, threads, sink.fileno() if sink else DEVNULL)
        try:
            yield await _ready(process, log)
        finally:
            await _stop(process)
    finally:
        if sink:
            sink.close()


async def _start(model: str, slots: int, threads: int, stderr: int) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.generator.modelserver", "--model", model, "--port", "0"),
        *("--slots", str(slots), "--threads", str(threads), "--parent", str(os.getpid())),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=stderr,
        start_new_session=True,  # Ctrl-C is for the parent, which lets running requests end first
    )


async def _ready(process: Process, log: Path | None) -> str:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_S):
            url = f"http://127.0.0.1:{int(await process.stdout.readline())}"
            await _healthy(url, process)
    except (TimeoutError, ValueError) as error:
        raise Unavailable(f"the model server did not start{_said(log)}") from error
    return url


async def _healthy(url: str, process: Process) -> None:
    """Return when it answers; ValueError when it has ended instead."""
    admin = Admin(url, _START_S)
    try:
        while not await admin.healthy():
            if process.returncode is not None:
                raise ValueError(process.returncode)
            await asyncio.sleep(0.05)
    finally:
        await admin.close()


def _said(log: Path | None) -> str:
    return f": {log.read_text(errors='replace')[-1000:].strip()}" if log else ""


async def _stop(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()
