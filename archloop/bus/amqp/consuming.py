"""How a consumer of a queue or a log begins, on a channel of its own, and the messages that it has in hand."""

import asyncio
from collections.abc import Awaitable, Callable, Container, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from typing_extensions import override

from archloop.bus.amqp.link import AWAY, Link
from archloop.bus.port import Delivery

_PAUSE_S, _LOOK_S, _LAST_WORDS_S = 1.0, 0.5, 3.0


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


@dataclass
class AmqpDelivery(Delivery):
    """A message in hand. If its channel has died meanwhile, the broker delivers it again, which is no error."""

    message: AbstractIncomingMessage
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    done: bool = field(default=False, init=False)
    closed: Callable[[], bool] = field(init=False)

    def __post_init__(self) -> None:
        """Ask the message for its channel now: it does not tell once the channel is closed."""
        self.closed = _closing(self.message)

    @property
    @override
    def body(self) -> bytes:
        return self.message.body

    @override
    async def ack(self) -> bool:
        self.done = True
        try:
            await self.message.ack()
        except AWAY:
            return False
        return True

    @override
    async def release(self) -> None:
        """Give the message back after a pause: what could not be done now can hardly be in a millisecond."""
        if not self.ending.is_set():
            await asyncio.sleep(_PAUSE_S)
        with suppress(*AWAY):
            await self.message.nack(requeue=True)

    @override
    async def lost(self) -> None:
        """Return some seconds after the delivery was lost, so that what is being published can still be confirmed."""
        while not self.ending.is_set() and not self.closed():
            with suppress(TimeoutError):
                await asyncio.wait_for(self.ending.wait(), _LOOK_S)
        await asyncio.sleep(_LAST_WORDS_S)


def _closing(message: AbstractIncomingMessage) -> Callable[[], bool]:
    """Return a function that tells whether the channel on which the message came is closed."""
    try:
        channel = message.channel
    except AWAY:
        return lambda: True
    return lambda: channel.is_closed
