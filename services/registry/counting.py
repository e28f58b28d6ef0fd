"""What waits in the queues and what is parked: counted now and then, for the metrics and the API."""

from dataclasses import dataclass, field

from archloop.bus.port import Bus
from archloop.contracts.base import Frozen
from archloop.contracts.topology import QUEUES
from archloop.ops.metrics import PARKED, WAITING


class QueueCount(Frozen):
    """Messages of one queue: `waiting` for a consumer or in its hands, `parked` until a person looks at them."""

    queue: str
    waiting: int
    parked: int


@dataclass
class Counts:
    """The latest count; empty until there is one."""

    latest: list[QueueCount] = field(default_factory=list)

    async def take(self, bus: Bus) -> None:
        """Count anew. Raises BusUnavailable."""
        self.latest = [
            QueueCount(queue=queue.name, waiting=await bus.depth(queue), parked=await bus.parked_depth(queue))
            for queue in QUEUES
        ]
        for count in self.latest:
            WAITING.labels(count.queue).set(count.waiting)
            PARKED.labels(count.queue).set(count.parked)
