"""Parked messages as they lie in a queue: the body untouched, what is known of it in the headers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import QueueEmpty
from aiormq.exceptions import ChannelNotFoundEntity

from archloop.bus.amqp.link import Link
from archloop.bus.port import Parked
from archloop.contracts.base import derived_id
from archloop.contracts.values import sha256_of

_STACK_CHARACTERS = 8_000
_PREFIX = "x-archloop-"


def headers(parked: Parked) -> dict[str, str]:
    """Return the headers to park the message with: all that is known of it but the body."""
    known = {
        "id": parked.id,
        "queue": parked.queue,
        "reason": parked.reason[:_STACK_CHARACTERS],
        "stack": parked.stack[-_STACK_CHARACTERS:],
        "attempt": str(parked.attempt),
        "first-failed": parked.first_failed.isoformat(),
    }
    return {f"{_PREFIX}{name}": value for name, value in known.items()}


def read(message: AbstractIncomingMessage, queue: str) -> Parked:
    """Read a parked message of ours, or one that the broker parked because no consumer ever finished it.

    Headers are what a sender says, and whatever he says, the message can be listed.
    """
    given = {name.removeprefix(_PREFIX): value for name, value in message.headers.items() if name.startswith(_PREFIX)}
    try:
        return Parked(
            id=str(given["id"]),
            queue=str(given["queue"]),
            reason=str(given["reason"]),
            stack=str(given["stack"]),
            attempt=int(str(given["attempt"])),
            first_failed=datetime.fromisoformat(str(given["first-failed"])),
            body=message.body,
        )
    except (KeyError, ValueError):
        return _given_up(message, queue.removesuffix(".parked"))


def _given_up(message: AbstractIncomingMessage, queue: str) -> Parked:
    deaths: Any = message.headers.get("x-death")
    death = deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}
    when, count = death.get("time"), death.get("count")
    return Parked(
        id=derived_id("parked", queue, sha256_of(message.body)),
        queue=str(death.get("queue", queue)),
        reason=f"{death.get('reason', 'dead letter')}: delivered again and again, and no consumer ended it",
        attempt=count if isinstance(count, int) else 1,
        first_failed=when.replace(tzinfo=when.tzinfo or UTC) if isinstance(when, datetime) else datetime.now(UTC),
        body=message.body,
    )


@asynccontextmanager
async def opened(link: Link, parked_queue: str) -> AsyncIterator[list[AbstractIncomingMessage]]:
    """Yield everything that is parked in the queue; what is not acknowledged within the block stays parked."""
    held: list[AbstractIncomingMessage] = []
    async with link.briefly() as channel:
        with suppress(QueueEmpty, ChannelNotFoundEntity):
            queue = await channel.get_queue(parked_queue, ensure=False)
            while True:
                held.append(await queue.get(no_ack=False, timeout=link.timeout_s))
        yield held
