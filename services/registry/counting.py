"""Counts what waits in the queues and what is parked, now and then, for the metrics and the API."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog
from prometheus_client import Gauge

from archloop import gpus
from archloop.bus.port import Bus, Gone
from archloop.contracts.base import Frozen
from archloop.contracts.topology import QUEUES, Queue
from archloop.errors import Unavailable
from archloop.gpus import GpuUse
from archloop.metrics import IN_HAND, MISSING, PARKED, WAITING

log = structlog.get_logger(__name__)


class QueueCount(Frozen):
    """Messages of one queue: `waiting` for a consumer or in its hands, `parked` until a person looks at them.

    Null where there is nothing to count in: `missing` names the queues that are not there for now. `consumers` take
    from it; those of this process have so many `in_hand`, null where it has none.
    """

    queue: str
    waiting: int | None
    parked: int | None
    missing: tuple[str, ...] = ()
    consumers: int | None = None
    in_hand: int | None = None


@dataclass
class Counts:
    """The latest counts, and how this machine's GPUs were used then; empty until there are some."""

    latest: list[QueueCount] = field(default_factory=list)
    gpus: tuple[GpuUse, ...] = ()

    async def take(self, bus: Bus) -> None:
        """Count anew, each queue whether the others are there or not. Raises BusUnavailable."""
        held = _in_hand()
        self.latest = [await _counted(bus, queue, held.get(queue.name)) for queue in QUEUES]
        for count in self.latest:
            _show(WAITING, count.queue, count.waiting)
            _show(PARKED, count.queue, count.parked)
            MISSING.labels(count.queue).set(len(count.missing))
        self.gpus = await _gpus()


def _in_hand() -> dict[str, int]:
    """Read how many messages the consumers of this process have in hand, by queue."""
    (metric,) = IN_HAND.collect()
    return {sample.labels["queue"]: int(sample.value) for sample in metric.samples}


async def _gpus() -> tuple[GpuUse, ...]:
    """Ask the driver; one that does not answer is told by who needs it."""
    try:
        return await asyncio.to_thread(gpus.in_use)
    except Unavailable:
        return ()


async def _counted(bus: Bus, queue: Queue, in_hand: int | None) -> QueueCount:
    waiting, parked = await _unless_gone(bus.depth, queue), await _unless_gone(bus.parked_depth, queue)
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
