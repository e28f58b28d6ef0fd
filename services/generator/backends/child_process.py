"""A model server as a process on this machine: in a session of its own, with its output in a file, gone with us."""

import asyncio
import os
import shutil
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import structlog

from archloop.sanitising import plain

log = structlog.get_logger(__name__)

SHOWN = 400
_SAID = 4096


@dataclass(frozen=True)
class RunningProcess:
    """Model server that runs as a process."""

    port: int
    process: Process
    stop_s: float

    @property
    def url(self) -> str:
        """Root of the server."""
        return f"http://127.0.0.1:{self.port}"

    async def ended(self) -> str:
        """Return how the server ended, once it has."""
        return f"has ended with status {await self.process.wait()}"

    async def stop(self) -> None:
        """Ask the process to end and, past its grace, kill it; then kill whatever is left of its group."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), self.stop_s)
        except TimeoutError:
            log.warning("a model server does not stop and is killed", pid=self.process.pid)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        log.info("a model server has stopped", pid=self.process.pid)


async def begun(
    command: Sequence[str], port: int, *, stop_s: float, log_file: Path | None, variables: Mapping[str, str]
) -> RunningProcess:
    """Start the command with these variables beside our own, but without our settings; it is asked to end with us.

    The variables are in no argument, as those can be read by every user of the machine.
    """
    environment = {**os.environ, **variables}  # noqa: TID251 - for the command; nothing is read
    async with _sink(log_file) as sink:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "archloop.ops.process", str(os.getpid())),
            *command,
            stdin=DEVNULL,
            stdout=sink,
            stderr=sink,
            env=environment,
            start_new_session=True,  # Ctrl-C is for us, who let running requests end first
        )
    log.info("a model server starts", pid=process.pid, port=port)
    return RunningProcess(port, process, stop_s)


def installed(program: str) -> str | None:
    """Find a program on the PATH, or beside this Python, whose environment need not be activated; None if nowhere."""
    return shutil.which(program) or shutil.which(program, path=Path(sys.executable).parent)


def said(output: BinaryIO, began: int) -> str:
    """Return the last line of what a process wrote since `began`, in plain characters, behind a colon."""
    output.seek(max(began, output.seek(0, os.SEEK_END) - _SAID))
    lines = output.read().decode("utf-8", "replace").strip().splitlines()
    return f": {plain(lines[-1].strip())[:SHOWN]}" if lines else ""


def free_port() -> int:
    """Return a free port.

    Another process may take it before the server does; then this one does not start, and the next gets another.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@asynccontextmanager
async def _sink(path: Path | None) -> AsyncIterator[int]:
    if path is None:
        yield sys.stderr.fileno()
        return
    with path.open("ab") as file:
        yield file.fileno()
