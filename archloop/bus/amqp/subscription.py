"""A consumer on RabbitMQ that notices when the broker no longer knows it, and subscribes again."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Container, Mapping
from contextlib import suppress

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from typing_extensions import override

from archloop.bus.amqp.consuming import AmqpDelivery, begun
from archloop.bus.amqp.declaring import DELIVERY_LIMIT, counted
from archloop.bus.amqp.link import AWAY, Link
from archloop.bus.port import BusUnavailable, Callback, Subscription
from archloop.contracts.topology import Queue
from archloop.contracts.values import sha256_of
from archloop.errors import ArchloopError
from archloop.tasks import cancelled

log = structlog.get_logger(__name__)

Renew = Callable[[AbstractIncomingMessage, str], Awaitable[None]]
_RENEWED_AFTER = DELIVERY_LIMIT // 2
_REMEMBERED = 1024
_CANCELLED = 4  # times, so that an end is not held up by who does not heed it


class AmqpSubscription(Subscription):
    """Keeps one consumer subscribed.

    Every `poll_s` seconds it looks at its own state, every `check_s` it asks the broker; while it cannot subscribe it
    tries every `again_s`.
    """

    def __init__(
        self,
        link: Link,
        queue: Queue,
        callback: Callback,
        declare: Callable[[Queue], Awaitable[None]],
        renew: Renew,
        poll_s: float = 0.5,
        check_s: float = 15.0,
        again_s: float = 2.0,
    ) -> None:
        self._link, self._queue, self._callback = link, queue, callback
        self._declare, self._renew = declare, renew
        self._poll_s, self._check_s, self._again_s = poll_s, check_s, again_s
        self._channel: AbstractChannel | None = None
        self._tag, self._ending = "", asyncio.Event()
        self._met: OrderedDict[str, Callable[[], bool]] = OrderedDict()
        self._consumers: Container[str] = ()
        self._in_hand: dict[asyncio.Task[None], AmqpDelivery] = {}
        self._watch: asyncio.Task[None] | None = None

    @property
    def queue_name(self) -> str:
        """The queue that is consumed."""
        return self._queue.name

    @property
    def in_hand(self) -> int:
        """How many deliveries are being handled."""
        return len(self._in_hand)

    @property
    @override
    def alive(self) -> bool:
        """Whether the broker, as far as is known here, still knows this consumer."""
        if self._channel is None or self._channel.is_closed or not self._link.open:
            return False
        return self._tag in self._consumers

    async def start(self) -> None:
        """Begin to consume. Raises BusUnavailable, BrokerRefused."""
        await self._consume()
        self._watch = asyncio.create_task(self._keep())

    @override
    async def drain(self) -> None:
        channel, self._channel = self._channel, None
        self._ending.set()
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

    @override
    async def abandon(self) -> None:
        self._channel = None
        self._ending.set()
        await self._stop_watching()
        await cancelled(*self._in_hand, times=_CANCELLED)

    async def _stop_watching(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            await cancelled(watch)

    async def _consume(self) -> None:
        self._channel, self._tag, self._consumers = await begun(
            self._link, self._queue.name, self._on_message, self._queue.prefetch
        )

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        delivery = AmqpDelivery(message, self._ending)
        if self._ending.is_set():
            await delivery.release()
            return
        if await self._renewed(delivery):
            return
        earlier = {task: other for task, other in self._in_hand.items() if other.body == message.body}
        task = asyncio.create_task(self._handle(delivery, earlier))
        self._in_hand[task] = delivery
        task.add_done_callback(self._ended)

    async def _renewed(self, delivery: AmqpDelivery) -> bool:
        """Return whether a fresh copy was published in the message's place, which came often for no fault of its own.

        The broker sets aside what was returned too often, for a message may bring down whoever handles it. One that
        came to this process before, on a channel that is closed now, did not.
        """
        digest = sha256_of(delivery.body)
        lost = self._met.pop(digest, None)
        self._met[digest] = delivery.closed
        if len(self._met) > _REMEMBERED:
            self._met.popitem(last=False)
        if lost is None or not lost() or _returns(delivery.message) < _RENEWED_AFTER:
            return False
        try:
            await self._renew(delivery.message, self._queue.name)
        except ArchloopError as error:
            log.warning("a message that came often keeps its history", queue=self._queue.name, error=str(error))
            return False
        await delivery.ack()
        return True

    async def _handle(self, delivery: AmqpDelivery, earlier: Mapping[asyncio.Task[None], AmqpDelivery]) -> None:
        """Handle the message, or wait for the handling of the same one if it came before, on a channel that died.

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
        """Ask the broker for the consumer: queue or consumer may be gone without notice."""
        try:
            _, consumers = await counted(self._link, self._queue.name)
        except ArchloopError as error:
            log.warning("broker does not answer for the queue", queue=self._queue.name, error=str(error))
            consumers = 0
        if not consumers:
            self._tag = ""

    async def _again(self) -> bool:
        """Subscribe again; return whether it worked."""
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


def _returns(message: AbstractIncomingMessage) -> int:
    """Return how often a quorum queue got the message back."""
    count = message.headers.get("x-delivery-count")
    return count if isinstance(count, int) else 0
