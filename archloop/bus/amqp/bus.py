"""The Bus port on RabbitMQ."""

import asyncio
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from functools import partial

import structlog
from aio_pika import Message
from aio_pika.abc import AbstractIncomingMessage
from typing_extensions import override

from archloop.bus.amqp import declaring, parking, publisher, signals
from archloop.bus.amqp.following import AmqpFollower, Followed
from archloop.bus.amqp.link import Link
from archloop.bus.amqp.publisher import Publisher
from archloop.bus.amqp.subscription import AmqpSubscription
from archloop.bus.amqp.topology import Topology
from archloop.bus.parking import fresh, oldest_first
from archloop.bus.port import Bus, BusUnavailable, Callback, Gone, Listener, Parked
from archloop.contracts.envelope import Envelope, MalformedMessage
from archloop.contracts.topology import ENDS, EXCHANGE, QUEUES, Log, Queue, adapter_queue, parked_name
from archloop.errors import NotFound

log = structlog.get_logger(__name__)

_PER_QUEUE_TIMEOUT = (3, 12)
_LOOP = tuple(queue.name for queue in (*QUEUES, adapter_queue("any")))


class AmqpBus(Bus):
    """A bus with a connection for each: to publish, to consume, to inspect, and to signal.

    A broker short of memory or disk reads nothing from one that publishes, be it an acknowledgement; and a question
    that is broken off, because somebody does not wait for the answer, costs the client the connection.
    """

    lasting = True

    def __init__(self, url: str, name: str, timeout_s: float = 10.0, setting: str = "broker_url") -> None:
        self._out = Link(url, f"{name} publish", timeout_s, setting)
        self._in = Link(url, f"{name} consume", timeout_s, setting)
        self._aside = Link(url, f"{name} look", timeout_s, setting)
        self._signals = Link(url, f"{name} signal", timeout_s, setting)
        self._publisher = Publisher(self._out)
        self._topology = Topology(self._aside)
        self._queues: dict[str, Queue] = {}
        self._subscriptions: list[AmqpSubscription] = []
        self._followers: list[AmqpFollower] = []

    async def connect(self) -> None:
        """Make the loop's topology exist, and watch over it. Raises BrokerRefused, BusUnavailable."""
        for queue in QUEUES:
            await self.declare(queue)
        await self._topology.log(ENDS)
        await self._degrade()
        self._topology.start()

    async def _degrade(self) -> None:
        version = await self._aside.version()
        if version < _PER_QUEUE_TIMEOUT:
            log.warning("one consumer_timeout for all queues: set it above the longest training", rabbitmq=version)

    @override
    async def ping(self) -> None:
        looking = asyncio.ensure_future(self._looked())
        looking.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(looking)

    async def _looked(self) -> None:
        await self._out.require_taking()
        async with self._out.briefly():
            wrong = await self._topology.seen()
        if wrong:
            raise Gone(f"being made again, or to be mended: {'; '.join(wrong.values())}")
        if self._subscriptions and not self._in.open:
            raise BusUnavailable(f"{self._out.shown}: the consuming connection is down")

    @override
    async def declare(self, queue: Queue) -> None:
        """Make the queue exist. Raises BrokerRefused where it exists with other arguments."""
        await self._topology.declare(queue)
        self._queues[queue.name] = queue

    @override
    async def publish(self, envelope: Envelope) -> None:
        await self._send(publisher.of(envelope), envelope.routing_key, EXCHANGE)

    @override
    async def subscribe(self, queue: Queue, callback: Callback) -> AmqpSubscription:
        subscription = AmqpSubscription(self._in, queue, callback, self._topology.declare, self._renew)
        await subscription.start()
        self._subscriptions.append(subscription)
        return subscription

    @override
    async def follow(self, log: Log, listener: Listener) -> None:
        first = {"x-stream-offset": "first"}
        await self._follow(Followed(log.name, partial(self._topology.log, log), first), listener)

    @override
    async def signal(self, body: bytes) -> None:
        await signals.send(self._signals, body)

    @override
    async def listen(self, listener: Listener) -> None:
        await self._follow(signals.heard(self._in), listener)

    async def _follow(self, followed: Followed, listener: Listener) -> None:
        follower = AmqpFollower(self._in, followed, listener)
        self._followers.append(follower)
        await follower.start()

    @override
    async def retry(self, queue: Queue, envelope: Envelope, delay_s: float) -> None:
        name = await self._topology.delay(queue, round(delay_s * 1000))
        await self._send(publisher.of(envelope), name)

    @override
    async def park(self, parked: Parked) -> None:
        queue = self._queues[parked.queue]
        await self._send(publisher.raw(parked.body, parking.headers(parked)), queue.parked_name)

    async def _send(self, message: Message, routing_key: str, exchange: str = "") -> None:
        try:
            await self._publisher.send(message, routing_key, exchange)
        except BusUnavailable:
            self._topology.hurry()
            raise

    async def _renew(self, message: AbstractIncomingMessage, queue: str) -> None:
        """Put a copy on the queue, which the broker has not delivered yet. Raises BusUnavailable."""
        await self._publisher.send(publisher.copy(message), queue, timeout_s=self._out.timeout_s)

    @override
    async def parked(self, queue: str | None = None) -> list[Parked]:
        """List parked messages; one that was parked twice is listed once."""
        found: dict[str, Parked] = {}
        for name in self._parked_queues(queue):
            async with parking.opened(self._aside, name) as held:
                for message in held:
                    parked = parking.read(message, name)
                    found.setdefault(parked.id, parked)
        return oldest_first(found.values(), queue)

    @override
    async def replay(self, *parked_ids: str) -> None:
        await self._take(set(parked_ids), self._put_back)

    @override
    async def drop(self, *parked_ids: str) -> None:
        await self._take(set(parked_ids))

    async def _take(self, wanted: AbstractSet[str], put_back: Callable[..., Awaitable[None]] | None = None) -> None:
        """Take these from where they are parked, once they are put back. Raises NotFound."""
        taken = set[str]()
        for name in self._parked_queues():
            async with parking.opened(self._aside, name) as held:
                for message in held:
                    parked = parking.read(message, name)
                    if parked.id in wanted:
                        if put_back is not None:
                            await put_back(parked, again=parked.id in taken)
                        await message.ack()
                        taken.add(parked.id)
        if missing := wanted - taken:
            raise NotFound("parked message", ", ".join(sorted(missing)))

    async def _put_back(self, parked: Parked, *, again: bool) -> None:
        """Replay the message, but not `again` where it was parked twice."""
        if not again:
            await self._publisher.send(_fresh(parked), parked.queue, timeout_s=self._out.timeout_s)

    def _parked_queues(self, queue: str | None = None) -> list[str]:
        """Return the parked queue's name, or those of all queues of the loop, whoever declared them."""
        return sorted(
            {parked_name(name) for name in (*_LOOP, *self._queues)} if queue is None else {parked_name(queue)}
        )

    @override
    async def depth(self, queue: Queue) -> int:
        """Count the messages that are ready, and those that this process has in hand.

        Raises BusUnavailable where the broker does not know this process's consumer either: then it cannot tell.
        """
        ready, consumers = await declaring.counted(self._aside, queue.name)
        mine = [each for each in self._subscriptions if each.queue_name == queue.name]
        if not consumers and any(each.alive for each in mine):
            raise BusUnavailable(f"{self._aside.shown}: it cannot tell how many messages wait in {queue.name}")
        return ready + sum(each.in_hand for each in mine)

    @override
    async def ready(self, queue: Queue) -> int:
        ready, _ = await declaring.counted(self._aside, queue.name)
        return ready

    @override
    async def consumers(self, queue: Queue) -> int:
        _, consumers = await declaring.counted(self._aside, queue.name)
        return consumers

    @override
    async def parked_depth(self, queue: Queue) -> int:
        """Count the parked messages; queues of a service's replicas share one parked queue, and its number."""
        waiting, _ = await declaring.counted(self._aside, queue.parked_name)
        return waiting

    @override
    async def close(self) -> None:
        await self._topology.stop()
        for each in self._followers:
            await each.stop()
        for subscription in self._subscriptions:
            await subscription.abandon()
        for link in (self._in, self._out, self._aside, self._signals):
            await link.close()


def _fresh(parked: Parked) -> Message:
    body = fresh(parked)
    try:
        return publisher.of(Envelope.parse(body))
    except MalformedMessage:
        return publisher.raw(body, {})
