"""What a process of a service tells of itself every few seconds: that it is there, what it has in hand, its GPUs."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

import structlog
from prometheus_client import Gauge
from pydantic import Field, ValidationError

from archloop import __version__, gpus
from archloop.bus.port import Bus
from archloop.contracts.base import Frozen
from archloop.contracts.texts import Name
from archloop.errors import ArchloopError, Unavailable
from archloop.gpus import GpuUse
from archloop.metrics import IN_HAND, LEVEL
from archloop.tasks import cancelled

log = structlog.get_logger(__name__)

EVERY_S = 5.0
_GONE_S = 3 * EVERY_S
_MOST, _MOST_BYTES = 1000, 2**16  # processes, and of each: whoever may publish could send more


class Presence(Frozen):
    """A process of a service: where it is, how many messages it has in hand by queue, and its machine's GPUs.

    `sandbox_level` is that at which it confines candidates, null where it evaluates none.
    """

    service: Name
    host: Name
    process: Annotated[int, Field(ge=1)]
    version: Name
    sandbox_level: Name | None = None
    in_hand: dict[Name, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    gpus: tuple[GpuUse, ...] = ()

    @classmethod
    def here(cls, service: str) -> "Presence":
        """Look at this process, which takes a moment where there are GPUs."""
        return cls(
            service=service,
            host=socket.gethostname(),
            process=os.getpid(),
            version=__version__,
            sandbox_level=next(iter(_values(LEVEL, "level")), None),
            in_hand=_values(IN_HAND, "queue"),
            gpus=_gpus(),
        )

    @property
    def place(self) -> tuple[str, int]:
        """Host and process id, by which processes are told apart."""
        return self.host, self.process


def _values(gauge: Gauge, label: str) -> dict[str, int]:
    (metric,) = gauge.collect()
    return {sample.labels[label]: int(sample.value) for sample in metric.samples}


def _gpus() -> tuple[GpuUse, ...]:
    """Ask the driver; one that does not answer is told by who needs it."""
    try:
        return gpus.in_use()
    except Unavailable:
        return ()


@asynccontextmanager
async def announced(bus: Bus, service: str, every_s: float = EVERY_S) -> AsyncIterator[None]:
    """Tell whoever listens of this process, now and every few seconds until the context ends."""
    task = asyncio.create_task(_forever(bus, service, every_s))
    try:
        yield
    finally:
        await cancelled(task)


async def _forever(bus: Bus, service: str, every_s: float) -> None:
    while True:
        try:
            presence = await asyncio.to_thread(Presence.here, service)
            await bus.signal(presence.model_dump_json().encode())
        except ArchloopError as error:
            log.debug("cannot tell that this process is there", error=str(error))
        await asyncio.sleep(every_s)


@dataclass
class Roster:
    """The processes that were heard of in the last seconds."""

    gone_s: float = _GONE_S
    _heard: dict[tuple[str, int], tuple[float, Presence]] = field(default_factory=dict)

    def hear(self, body: bytes) -> None:
        """Take note of a presence. What is none, or would be one too many, is left out."""
        try:
            presence = Presence.model_validate_json(body) if len(body) <= _MOST_BYTES else None
        except ValidationError:
            presence = None
        if presence is None or (len(self._heard) >= _MOST and presence.place not in self._heard):
            log.warning("no presence that can be noted", bytes=len(body))
            return
        self._heard[presence.place] = time.monotonic(), presence

    def present(self) -> list[Presence]:
        """Return those that are there, by service and place, and forget the others."""
        since = time.monotonic() - self.gone_s
        self._heard = {place: heard for place, heard in self._heard.items() if heard[0] >= since}
        return sorted((presence for _, presence in self._heard.values()), key=lambda each: (each.service, each.place))
