"""Starting text-generation-inference, each time with the adapters to serve: as a process on this machine."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import structlog
from typing_extensions import override

from archloop.errors import InvalidInput
from services.generator.backends.child_process import RunningProcess, begun, free_port

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
    async def start(self, adapters: Mapping[str, Path]) -> RunningProcess:
        """Start a process at the head of a session and a group of its own, which ends with this one."""
        port = free_port()
        command = [part.replace("{port}", str(port)) for part in shlex.split(self.command)]
        log.info("TGI is to serve", adapters=sorted(adapters))
        variables = {**ENVIRONMENT, "LORA_ADAPTERS": rendered(adapters)}
        without = ["env", "-u", NEVER]
        return await begun([*without, *command], port, stop_s=self.stop_s, log_file=self.log, variables=variables)
