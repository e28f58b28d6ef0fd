"""Counts what waits in the queues and what is parked, now and then, for the metrics and the API."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog
from prometheus_client import Gauge

from archloop.bus.port import Bus, Gone
from archloop.contracts.base import Frozen
from archloop.contracts.topology import QUEUES, Queue
from archloop.metrics import MISSING, PARKED, WAITING

log = structlog.get_logger(__name__)


class QueueCount(Frozen):
    """Messages of one queue: `waiting` for a consumer or in its hands, `parked` until a person looks at them.

    Null where there is nothing to count in: `missing` names the queues that are not there for now.
    """

    queue: str
    waiting: int | None
    parked: int | None
    missing: tuple[str, ...] = ()


@dataclass
class Counts:
    """The latest counts; empty until there are some."""

    latest: list[QueueCount] = field(default_factory=list)

    async def take(self, bus: Bus) -> None:
        """Count anew, each queue whether the others are there or not. Raises BusUnavailable."""
        self.latest = [await _counted(bus, queue) for queue in QUEUES]
        for count in self.latest:
            _show(WAITING, count.queue, count.waiting)
            _show(PARKED, count.queue, count.parked)
            MISSING.labels(count.queue).set(len(count.missing))


async def _counted(bus: Bus, queue: Queue) -> QueueCount:
    waiting, parked = await _unless_gone(bus.depth, queue), await _unless_gone(bus.parked_depth, queue)
    names = {queue.name: waiting, queue.parked_name: parked}
    missing = tuple(name for name, count in names.items() if count is None)
    return QueueCount(queue=queue.name, waiting=waiting, parked=parked, missing=missing)


async def _unless_gone(count: Callable[[Queue], Awaitable[int]], queue: Queue) -> int | None:
    try:
        return await count(queue)
    except Gone as error:
        log.warning("nothing to count", queue=queue.name, error=str(error))
        return None


def _show(gauge: Gauge, queue: str, count: int | None) -> None:
    gauge.labels(queue).set(float("nan") if count is None else count)
