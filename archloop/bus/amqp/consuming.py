"""How a consumer of a queue or a log begins, on a channel of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Container, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from archloop.bus.amqp.link import AWAY, Link


class Consuming(NamedTuple):
    """A channel, and the tag that is among its consumers for as long as the broker knows it."""

    channel: AbstractChannel
    tag: str
    consumers: Container[str]


async def begun(
    link: Link,
    name: str,
    on_message: Callable[[AbstractIncomingMessage], Awaitable[Any]],
    prefetch: int,
    arguments: Mapping[str, Any] | None = None,
) -> Consuming:
    """Subscribe to the queue, and close the channel again if that fails halfway.

    A consumer on a channel that nobody holds would take messages for ever. Raises BusUnavailable, BrokerRefused.

    Args:
        link: The connection to consume on.
        name: The queue's name.
        on_message: Called with each message.
        prefetch: How many messages may be unacknowledged at once.
        arguments: The consumer's arguments for the broker, such as a stream's offset.

    """
    channel = await link.channel(publisher_confirms=False)
    try:
        with link.translated():
            async with asyncio.timeout(link.timeout_s):
                await channel.set_qos(prefetch_count=prefetch)
                queue = await channel.get_queue(name, ensure=False)
                tag = await queue.consume(on_message, arguments=dict(arguments) if arguments else None)
                underlay: Any = await channel.get_underlay_channel()
                return Consuming(channel, tag, underlay.consumers)
    except BaseException:
        with suppress(*AWAY):
            await channel.close()
        raise
