"""Makes the topology exist: the exchange, quorum queues, their delay queues and their parked queues."""

import asyncio
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractQueue, ExchangeType

from archloop.bus.amqp.link import Link
from archloop.contracts.topology import EXCHANGE, Log, Queue

DELIVERY_LIMIT = 20
_NO_LIMIT = 1_000_000_000
_IDLE_MS = 600_000
_AGAIN_S = (0.1, 0.3, 0.6)


async def declare(channel: AbstractChannel, queue: Queue) -> AbstractQueue:
    """Make the queue exist with its bindings and its parked queue; once more changes nothing."""
    await channel.declare_queue(queue.parked_name, durable=True, arguments=_quorum(limit=_NO_LIMIT))
    return await _bound(channel, queue, arguments(queue))


async def require(channel: AbstractChannel, queue: Queue) -> None:
    """Check that exchange, queue and parked queue are there. Raises what the client does where one is not."""
    await channel.get_exchange(EXCHANGE, ensure=True)
    for name in (queue.parked_name, queue.name):
        await require_named(channel, name)


async def require_named(channel: AbstractChannel, name: str) -> None:
    """Check that the queue is there. Raises what the client does where it is not."""
    await channel.get_queue(name, ensure=True)


async def declare_log(channel: AbstractChannel, log: Log) -> AbstractQueue:
    """Make the log exist as a stream, which keeps what was consumed."""
    most = {"x-max-length-bytes": log.max_bytes, "x-stream-max-segment-size-bytes": log.max_bytes // 8}
    return await _bound(channel, log, {"x-queue-type": "stream", **most})


def delay_name(queue: Queue, delay_ms: int) -> str:
    """Return the name of the queue's delay queue for this delay.

    Each delay has a queue of its own: a message expires only at the head, so a longer delay would hold up the rest.
    """
    return f"{queue.name}.retry.{delay_ms}"


async def declare_delay(channel: AbstractChannel, queue: Queue, delay_ms: int) -> None:
    """Make the queue exist whose messages go back to `queue` after the delay."""
    make = _expiring() if queue.expires else _quorum(limit=_NO_LIMIT)
    delayed = {"x-message-ttl": delay_ms, **_dead_letters(queue, queue.name)}
    await channel.declare_queue(delay_name(queue, delay_ms), durable=True, arguments={**make, **delayed})


async def counted(link: Link, name: str) -> tuple[int, int]:
    """Return how many messages are ready in the queue, and how many consumers it has. Raises BusUnavailable.

    RabbitMQ says that there are neither when a quorum queue's leader is slower than 250 ms, so that is asked again.
    """
    found = await _counted_once(link, name)
    for pause_s in _AGAIN_S:
        if any(found):
            break
        await asyncio.sleep(pause_s)
        found = await _counted_once(link, name)
    return found


async def _counted_once(link: Link, name: str) -> tuple[int, int]:
    async with link.briefly() as channel:
        found = await channel.declare_queue(name, passive=True, timeout=link.timeout_s)
    result = found.declaration_result
    return result.message_count or 0, result.consumer_count or 0


def arguments(queue: Queue) -> dict[str, Any]:
    """Return the arguments with which a work queue is declared.

    A replica's own queue is a classic one that goes ten minutes after its consumer. The others are quorum queues that
    hand on to the parked queue what they delivered too often without ever seeing an end.
    """
    dead = _dead_letters(queue, queue.parked_name)
    if queue.expires:
        return {**_expiring(), **dead}
    more = {"x-single-active-consumer": True} if queue.single_active else {}
    return {
        **_quorum(limit=DELIVERY_LIMIT),
        **dead,
        **more,
        "x-consumer-timeout": queue.consumer_timeout_s * 1000,
    }


async def _bound(channel: AbstractChannel, queue: Queue | Log, arguments: dict[str, Any]) -> AbstractQueue:
    """Declare the queue, or the log, and bind it to the exchange."""
    exchange = await channel.declare_exchange(EXCHANGE, ExchangeType.TOPIC, durable=True)
    declared = await channel.declare_queue(queue.name, durable=True, arguments=arguments)
    for pattern in queue.binds:
        await declared.bind(exchange, pattern)
    return declared


def _quorum(limit: int) -> dict[str, Any]:
    return {"x-queue-type": "quorum", "x-delivery-limit": limit, "x-overflow": "reject-publish"}


def _expiring() -> dict[str, Any]:
    return {"x-queue-type": "classic", "x-expires": _IDLE_MS}


def _dead_letters(queue: Queue, target: str) -> dict[str, Any]:
    strategy = {} if queue.expires else {"x-dead-letter-strategy": "at-least-once"}
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": target, **strategy}
