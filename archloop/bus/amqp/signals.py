"""Signals: an exchange that hands each to all who listen, over a queue of each listener that keeps none for long."""

import asyncio
import uuid
from functools import partial
from typing import Any

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractExchange, ExchangeType

from archloop.bus.amqp.following import Followed
from archloop.bus.amqp.link import Link

SIGNALS = "archloop.signals"
_KEPT: dict[str, Any] = {
    "x-queue-type": "classic",
    "x-expires": 60_000,
    "x-message-ttl": 30_000,
    "x-max-length": 2000,
    "x-max-length-bytes": 2**22,
}


async def send(link: Link, body: bytes) -> None:
    """Publish; nobody confirms it. Raises BusUnavailable, also where the broker takes nothing for now."""
    await link.require_taking()
    async with link.briefly() as channel, asyncio.timeout(link.timeout_s):
        exchange = await _exchange(channel)
        await exchange.publish(Message(body), "", mandatory=False)


def heard(link: Link) -> Followed:
    """Return a listener's own queue, which goes a minute after it."""
    name = f"{SIGNALS}.{uuid.uuid4()}"
    return Followed(name, partial(_listening, link, name))


async def _listening(link: Link, name: str) -> None:
    async with link.briefly() as channel:
        queue = await channel.declare_queue(name, durable=True, arguments=_KEPT, timeout=link.timeout_s)
        await queue.bind(await _exchange(channel), timeout=link.timeout_s)


async def _exchange(channel: AbstractChannel) -> AbstractExchange:
    return await channel.declare_exchange(SIGNALS, ExchangeType.FANOUT, durable=True)
