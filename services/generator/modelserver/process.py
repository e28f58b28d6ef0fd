"""Running the model server as a child process on a free loopback port."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from archloop.errors import Unavailable
from services.generator.backends.child_process import SHOWN, said
from services.generator.transport import ServerClient

_START_S = 120.0
_STOP_S = 10.0


@asynccontextmanager
async def spawned(
    model: str,
    *,
    slots: int,
    threads: int,
    log: Path | None,
    device: str = "cpu",
    weights: str = "auto",
    gpu: str = "",
    max_total_tokens: int | None = None,
    start_s: float = _START_S,
) -> AsyncIterator[str]:
    """Start a server and yield its URL once it is healthy; it ends with the context, or with this process.

    `gpu` is what CUDA_VISIBLE_DEVICES is to name, of which `device` counts; without, the server sees what we see.
    Raises Unavailable, with the last line that the server printed, where it does not come up.
    """
    with log.open("ab+") if log else TemporaryFile() as sink:
        began = sink.seek(0, os.SEEK_END)
        options = ["--model", model, "--slots", str(slots), "--threads", str(threads)]
        options += _flags(device, weights, max_total_tokens)
        process = await _start(options, gpu, sink.fileno())
        try:
            yield await _ready(process, sink, began, start_s)
        finally:
            await _stop(process)


def _flags(device: str, weights: str, max_total_tokens: int | None) -> list[str]:
    """Return the options that are not as the server has them by itself."""
    given = {
        "--device": (device, "cpu"),
        "--weights": (weights, "auto"),
        "--max-total-tokens": (max_total_tokens, None),
    }
    return [part for name, (value, usual) in given.items() if value != usual for part in (name, str(value))]


async def _start(options: Sequence[str], gpu: str, stderr: int) -> Process:
    seen = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": gpu} if gpu else {}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.generator.modelserver", "--port", "0", "--parent", str(os.getpid()), *options),
        env={**os.environ, **seen},  # noqa: TID251 - for the server; nothing is read
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=stderr,
        start_new_session=True,  # Ctrl-C is for the parent, which lets running requests end first
    )


async def _ready(process: Process, sink: BinaryIO, began: int, start_s: float) -> str:
    try:
        async with asyncio.timeout(start_s):
            url = f"http://127.0.0.1:{await _port(process)}"
            await _healthy(url, process)
    except TimeoutError as error:
        problem = f"it does not answer after {start_s:g} s"
        raise Unavailable(f"the model server did not start: {problem}{said(sink, began)}") from error
    except _Ended as error:
        raise Unavailable(f"the model server did not start: {error}{said(sink, began)}") from error
    return url


class _Ended(Exception):
    """The process has ended, or is about to."""


async def _port(process: Process) -> int:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if line.strip().isdigit():
        return int(line)
    if line:
        raise _Ended(f"it should tell its port, and says {ascii(line.decode(errors='replace'))[:SHOWN]}")
    raise _Ended(_how(await process.wait()))


async def _healthy(url: str, process: Process) -> None:
    """Return when the server answers."""
    server = ServerClient(url, _START_S)
    try:
        while not await server.healthy():
            if process.returncode is not None:
                raise _Ended(_how(process.returncode))
            await asyncio.sleep(0.05)
    finally:
        await server.close()


def _how(status: int) -> str:
    return f"it was ended by signal {-status}" if status < 0 else f"it ended with status {status}"


async def _stop(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()
