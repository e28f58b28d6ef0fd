"""A consumer on RabbitMQ that notices when it no longer is one, and subscribes again."""

import asyncio
from collections.abc import Awaitable, Callable, Container, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from archloop.bus.amqp.declaring import counted
from archloop.bus.amqp.link import AWAY, Link
from archloop.bus.port import BusUnavailable, Callback
from archloop.contracts.topology import Queue
from archloop.errors import ArchloopError

log = structlog.get_logger(__name__)


@dataclass
class AmqpDelivery:
    """A message in hand. Its channel may have died meanwhile: then the broker delivers it again, which is no error."""

    message: AbstractIncomingMessage
    pause_s: float = 1.0
    done: bool = field(default=False, init=False)

    @property
    def body(self) -> bytes:
        """The bytes as they came."""
        return self.message.body

    async def ack(self) -> None:
        """See the port."""
        self.done = True
        with suppress(*AWAY):
            await self.message.ack()

    async def release(self) -> None:
        """See the port. After a pause: what could not be published now can hardly be in a millisecond."""
        await asyncio.sleep(self.pause_s)
        with suppress(*AWAY):
            await self.message.nack(requeue=True)


class AmqpSubscription:
    """Looks after one consumer.

    Every `poll_s` seconds it looks at its own state, every `check_s` it asks the broker; while it cannot subscribe it
    tries every `again_s`.
    """

    def __init__(
        self,
        link: Link,
        queue: Queue,
        callback: Callback,
        declare: Callable[[Queue], Awaitable[None]],
        poll_s: float = 0.5,
        check_s: float = 15.0,
        again_s: float = 2.0,
    ) -> None:
        self._link, self._queue, self._callback, self._declare = link, queue, callback, declare
        self._poll_s, self._check_s, self._again_s = poll_s, check_s, again_s
        self._channel: AbstractChannel | None = None
        self._tag, self._draining = "", False
        self._consumers: Container[str] = ()
        self._in_hand: dict[asyncio.Task[None], AmqpDelivery] = {}
        self._watch: asyncio.Task[None] | None = None

    @property
    def queue_name(self) -> str:
        """What it consumes."""
        return self._queue.name

    @property
    def in_hand(self) -> int:
        """Deliveries that are being handled."""
        return len(self._in_hand)

    @property
    def alive(self) -> bool:
        """Whether the broker, as far as we know, still knows this consumer."""
        if self._channel is None or self._channel.is_closed or not self._link.open:
            return False
        return self._tag in self._consumers

    async def start(self) -> None:
        """Begin to consume. Raises BusUnavailable, BrokerRefused."""
        await self._consume()
        self._watch = asyncio.create_task(self._keep())

    async def drain(self) -> None:
        """See the port."""
        channel, self._channel = self._channel, None
        self._draining = True
        await self._stop_watching()
        if channel is not None:
            with suppress(*AWAY):
                queue = await channel.get_queue(self._queue.name, ensure=False)
                await queue.cancel(self._tag, timeout=self._link.timeout_s)
        while self._in_hand:
            await asyncio.wait(self._in_hand)
        if channel is not None:
            with suppress(*AWAY):
                await channel.close()

    async def abandon(self) -> None:
        """Stop at once: what is in hand goes back to the broker."""
        await self._stop_watching()
        self._channel = None
        for task in self._in_hand:
            task.cancel()
        await asyncio.gather(*self._in_hand, return_exceptions=True)

    async def _stop_watching(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _consume(self) -> None:
        """Whole or not at all: a consumer on a channel that nobody holds would take messages for ever."""
        channel = await self._link.channel(publisher_confirms=False)
        try:
            with self._link.translated():
                await self._begin(channel)
        except BaseException:
            with suppress(*AWAY):
                await channel.close()
            raise
        self._channel = channel

    async def _begin(self, channel: AbstractChannel) -> None:
        async with asyncio.timeout(self._link.timeout_s):
            await channel.set_qos(prefetch_count=self._queue.prefetch)
            queue = await channel.get_queue(self._queue.name, ensure=False)
            self._tag = await queue.consume(self._on_message)
            underlay: Any = await channel.get_underlay_channel()
            self._consumers = underlay.consumers

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        if self._draining:
            await AmqpDelivery(message, pause_s=0).release()
            return
        delivery = AmqpDelivery(message)
        earlier = {task: other for task, other in self._in_hand.items() if other.body == message.body}
        task = asyncio.create_task(self._handle(delivery, earlier))
        self._in_hand[task] = delivery
        task.add_done_callback(self._ended)

    async def _handle(self, delivery: AmqpDelivery, earlier: Mapping[asyncio.Task[None], AmqpDelivery]) -> None:
        """A message that comes again while it is in hand, because its channel died, waits for what is under way.

        It is known by its bytes: its id is what its sender says, and two senders may say the same.
        """
        if earlier:
            await asyncio.wait(earlier)
        if any(other.done for other in earlier.values()):
            await delivery.ack()
        else:
            await self._callback(delivery)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._in_hand.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("delivery not settled", queue=self._queue.name, exc_info=error)

    async def _keep(self) -> None:
        checked = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(self._poll_s)
            now = asyncio.get_running_loop().time()
            if self.alive and now - checked >= self._check_s:
                checked = now
                await self._ask()
            if not self.alive:
                log.warning("consumer lost, subscribing again", queue=self._queue.name)
                while not await self._again():
                    await asyncio.sleep(self._again_s)

    async def _ask(self) -> None:
        """The queue may have been deleted, or the consumer forgotten, without a word to us."""
        try:
            _, consumers = await counted(self._link, self._queue.name)
        except ArchloopError as error:
            log.warning("broker does not answer for the queue", queue=self._queue.name, error=str(error))
            consumers = 0
        if not consumers:
            self._tag = ""

    async def _again(self) -> bool:
        """Whether it worked."""
        old, self._channel = self._channel, None
        if old is not None:
            with suppress(*AWAY):
                await old.close()
        try:
            await self._declare(self._queue)
            await self._consume()
        except BusUnavailable as error:
            log.warning("cannot subscribe yet", queue=self._queue.name, error=str(error))
        except ArchloopError as error:
            log.error("cannot subscribe", queue=self._queue.name, error=str(error))
        else:
            log.info("subscribed again", queue=self._queue.name)
            return True
        return False
