"""Starting text-generation-inference, each time with the adapters to serve: as a process on this machine."""

import asyncio
import os
import shlex
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import structlog
from typing_extensions import override

from archloop.errors import InvalidInput

log = structlog.get_logger(__name__)

_SEPARATORS = frozenset(",=@")
# CUDA graphs are replayed without the adapter, and the prefix cache's key does not know it (TGI 3.3.7).
ENVIRONMENT: Mapping[str, str] = MappingProxyType({"CUDA_GRAPHS": "0"})
NEVER = "PREFIX_CACHING"


class Running(Protocol):
    """Server that has been started. Whether it is ready, it says itself."""

    @property
    def url(self) -> str:
        """Root of the server."""

    async def ended(self) -> str:
        """Return how the server ended, once it has; where others start it again, when it is gone for good."""

    async def stop(self) -> None:
        """Stop the server in good order within its grace, else by force."""


class Launcher(Protocol):
    """Place where servers are started."""

    async def start(self, adapters: Mapping[str, Path]) -> Running:
        """Start a new server with exactly these adapters. Raises InvalidInput, Unavailable."""


def rendered(adapters: Mapping[str, Path]) -> str:
    """Return the value of LORA_ADAPTERS. Raises InvalidInput for what TGI would misread, or not read at all."""
    for name, path in adapters.items():
        if _SEPARATORS & set(f"{name}{path}"):
            raise InvalidInput("adapter", f"{name}={path}", "a name and a folder without any of , = @")
    return ",".join(f"{name}={path.absolute()}" for name, path in adapters.items())


@dataclass(frozen=True)
class ProcessLauncher(Launcher):
    """Launcher of processes; in `command`, `{port}` stands for a free port.

    The output of a process goes into `log`, or to our stderr.
    """

    command: str
    stop_s: float
    log: Path | None = None

    @override
    async def start(self, adapters: Mapping[str, Path]) -> "RunningProcess":
        """Start a process at the head of a session and a group of its own, which ends with this one."""
        port = _free_port()
        command = [part.replace("{port}", str(port)) for part in shlex.split(self.command)]
        variables = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        async with _sink(self.log) as sink:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "archloop.ops.process", str(os.getpid())),
                *("env", "-u", NEVER, *variables, f"LORA_ADAPTERS={rendered(adapters)}"),
                *command,
                stdin=DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,  # Ctrl-C is for us, who let running requests end first
            )
        log.info("a model server starts", pid=process.pid, port=port, adapters=sorted(adapters))
        return RunningProcess(port, process, self.stop_s)


@dataclass(frozen=True)
class RunningProcess(Running):
    """Model server that runs as a process."""

    port: int
    process: Process
    stop_s: float

    @property
    @override
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @override
    async def ended(self) -> str:
        return f"has ended with status {await self.process.wait()}"

    @override
    async def stop(self) -> None:
        """Stop the process, and then kill whatever is left of its group."""
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


def _free_port() -> int:
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
