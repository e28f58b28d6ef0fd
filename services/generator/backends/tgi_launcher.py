"""Starting text-generation-inference, each time with the adapters that it shall serve: as a process on this machine."""

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

from archloop.errors import InvalidInput

log = structlog.get_logger(__name__)

_SEPARATORS = frozenset(",=@")
# CUDA graphs are replayed without the adapter, and the prefix cache's key does not know it (TGI 3.3.7).
ENVIRONMENT: Mapping[str, str] = MappingProxyType({"CUDA_GRAPHS": "0"})
NEVER = "PREFIX_CACHING"


class Running(Protocol):
    """A server that has been started. Whether it is ready, it says itself."""

    @property
    def url(self) -> str:
        """Its root."""

    async def ended(self) -> str:
        """Return how, once it has ended; where others start it again, when it is gone for good."""

    async def stop(self) -> None:
        """In good order within its grace, else by force."""


class Launcher(Protocol):
    """Where servers are started."""

    async def start(self, adapters: Mapping[str, Path]) -> Running:
        """A new one with exactly these. Raises InvalidInput, Unavailable."""


def rendered(adapters: Mapping[str, Path]) -> str:
    """The value of LORA_ADAPTERS. Raises InvalidInput for what TGI would read otherwise, or not at all."""
    for name, path in adapters.items():
        if _SEPARATORS & set(f"{name}{path}"):
            raise InvalidInput("adapter", f"{name}={path}", "a name and a folder without any of , = @")
    return ",".join(f"{name}={path.absolute()}" for name, path in adapters.items())


@dataclass(frozen=True)
class ProcessLauncher:
    """`command` is a template: `{port}` in it stands for a free one. What it says goes into `log`, or to our stderr."""

    command: str
    stop_s: float
    log: Path | None = None

    async def start(self, adapters: Mapping[str, Path]) -> "RunningProcess":
        """See the port. The process is at the head of a session and a group of its own, and ends with this one."""
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
        return RunningProcess(f"http://127.0.0.1:{port}", process, self.stop_s)


@dataclass(frozen=True)
class RunningProcess:
    """See the port."""

    url: str
    process: Process
    stop_s: float

    async def ended(self) -> str:
        """See the port."""
        return f"has ended with status {await self.process.wait()}"

    async def stop(self) -> None:
        """See the port. Whatever is left of its group then is killed."""
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
    """Another may take it before the server does; then this one does not start, and the next gets another."""
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
