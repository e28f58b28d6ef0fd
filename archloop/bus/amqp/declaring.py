"""Makes the topology exist: the exchange, quorum queues, their delay queues and their parked queues."""

from typing import Any

from aio_pika.abc import AbstractChannel, AbstractQueue, ExchangeType

from archloop.bus.amqp.link import Link
from archloop.contracts.topology import EXCHANGE, Queue

DELIVERY_LIMIT = 20
_NO_LIMIT = 1_000_000_000
_IDLE_MS = 600_000


async def declare(channel: AbstractChannel, queue: Queue) -> AbstractQueue:
    """The queue with its bindings and its parked queue; idempotent."""
    exchange = await channel.declare_exchange(EXCHANGE, ExchangeType.TOPIC, durable=True)
    await channel.declare_queue(queue.parked_name, durable=True, arguments=_quorum(limit=_NO_LIMIT))
    declared = await channel.declare_queue(queue.name, durable=True, arguments=arguments(queue))
    for pattern in queue.binds:
        await declared.bind(exchange, pattern)
    return declared


async def declare_delay(channel: AbstractChannel, queue: Queue, delay_ms: int) -> str:
    """A queue whose messages go back to `queue` after the delay; its name. One delay each: a head holds up the rest."""
    name = f"{queue.name}.retry.{delay_ms}"
    make = _idle() if queue.exclusive else _quorum(limit=_NO_LIMIT)
    await channel.declare_queue(
        name, durable=True, arguments={**make, "x-message-ttl": delay_ms, **_dead_letters(queue, queue.name)}
    )
    return name


async def counted(link: Link, name: str) -> tuple[int, int]:
    """How many messages are ready in the queue, and how many consumers it has. Raises BusUnavailable."""
    async with link.briefly() as channel:
        found = await channel.declare_queue(name, passive=True, timeout=link.timeout_s)
    result = found.declaration_result
    return result.message_count or 0, result.consumer_count or 0


def arguments(queue: Queue) -> dict[str, Any]:
    """A work queue's make.

    A replica's own queue is a classic one that goes ten minutes after its consumer. The others are quorum queues that
    hand on to the parked queue what they delivered too often without ever seeing an end.
    """
    dead = _dead_letters(queue, queue.parked_name)
    if queue.exclusive:
        return {**_idle(), **dead}
    more = {"x-single-active-consumer": True} if queue.single_active else {}
    return {
        **_quorum(limit=DELIVERY_LIMIT),
        **dead,
        **more,
        "x-consumer-timeout": queue.consumer_timeout_s * 1000,
    }


def _quorum(limit: int) -> dict[str, Any]:
    return {"x-queue-type": "quorum", "x-delivery-limit": limit, "x-overflow": "reject-publish"}


def _idle() -> dict[str, Any]:
    return {"x-queue-type": "classic", "x-expires": _IDLE_MS}


def _dead_letters(queue: Queue, target: str) -> dict[str, Any]:
    strategy = {} if queue.exclusive else {"x-dead-letter-strategy": "at-least-once"}
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": target, **strategy}
