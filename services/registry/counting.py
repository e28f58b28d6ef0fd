"""Counts what waits in the queues and what is parked, now and then, for the metrics and the API."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog
from prometheus_client import Gauge

from archloop.bus.port import Bus, Gone
from archloop.contracts.base import Frozen
from archloop.contracts.topology import QUEUES, Queue
from archloop.gpus import Gpu
from archloop.metrics import MISSING, PARKED, WAITING
from archloop.ops.presence import Presence, Roster

log = structlog.get_logger(__name__)


class HostGpu(NamedTuple):
    """A GPU of a machine, and the share of the last moment in which it computed, null where its driver is silent."""

    host: str
    gpu: Gpu
    busy: float | None


class QueueCount(Frozen):
    """Messages of one queue: `waiting` for a consumer, `parked` until a person looks at them.

    Null where there is nothing to count in: `missing` names the queues that are not there for now. `consumers` take
    from it, and have so many `in_hand`, null where none was heard of.
    """

    queue: str
    waiting: int | None
    parked: int | None
    missing: tuple[str, ...] = ()
    consumers: int | None = None
    in_hand: int | None = None


@dataclass
class Counts:
    """The latest counts, and the processes that were there then; empty until there are some."""

    latest: list[QueueCount] = field(default_factory=list)
    services: tuple[Presence, ...] = ()
    roster: Roster = field(default_factory=Roster)
    name: str = "registry"

    async def take(self, bus: Bus) -> None:
        """Count anew, each queue whether the others are there or not. Raises BusUnavailable."""
        own = await asyncio.to_thread(Presence.here, self.name)
        self.services = (own, *(each for each in self.roster.present() if each.place != own.place))
        held = _in_hand(self.services)
        self.latest = [await _counted(bus, queue, held.get(queue.name)) for queue in QUEUES]
        for count in self.latest:
            _show(WAITING, count.queue, count.waiting)
            _show(PARKED, count.queue, count.parked)
            MISSING.labels(count.queue).set(len(count.missing))

    @property
    def gpus(self) -> tuple[HostGpu, ...]:
        """The GPUs of all machines, each once, whoever told of it."""
        found = {
            (each.host, use.gpu.index, use.gpu.uuid): HostGpu(each.host, *use)
            for each in self.services
            for use in each.gpus
        }
        return tuple(found[name] for name in sorted(found))


def _in_hand(services: Iterable[Presence]) -> dict[str, int]:
    """Add up how many messages are in hand, by queue."""
    held: dict[str, int] = {}
    for each in services:
        for queue, count in each.in_hand.items():
            held[queue] = held.get(queue, 0) + count
    return held


async def _counted(bus: Bus, queue: Queue, in_hand: int | None) -> QueueCount:
    waiting, parked = await _unless_gone(bus.ready, queue), await _unless_gone(bus.parked_depth, queue)
    names = {queue.name: waiting, queue.parked_name: parked}
    missing = tuple(name for name, count in names.items() if count is None)
    consumers = await _unless_gone(bus.consumers, queue) if waiting is not None else None
    return QueueCount(
        queue=queue.name, waiting=waiting, parked=parked, missing=missing, consumers=consumers, in_hand=in_hand
    )


async def _unless_gone(count: Callable[[Queue], Awaitable[int]], queue: Queue) -> int | None:
    try:
        return await count(queue)
    except Gone as error:
        log.warning("nothing to count", queue=queue.name, error=str(error))
        return None


def _show(gauge: Gauge, queue: str, count: int | None) -> None:
    gauge.labels(queue).set(float("nan") if count is None else count)
