"""The Bus in one process: the embedded mode, and the fast half of the contract tests.

Messages cross it as bytes, exactly as they would cross a broker. They die with the process; the
level-triggered registry asks again for what was lost. Parked messages are kept in a directory.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import override

from archloop.bus.parking import ParkingLot, fresh
from archloop.bus.port import Bus, Callback, Listener, Parked, Subscription
from archloop.contracts.envelope import Envelope
from archloop.contracts.topology import ENDS, Log, Queue
from archloop.tasks import cancelled

_PAUSE_S = 0.1


@dataclass
class _Channel:
    queue: Queue
    ready: deque[bytes] = field(default_factory=deque)
    subscribers: "list[MemorySubscription]" = field(default_factory=list)

    @property
    def active(self) -> "list[MemorySubscription]":
        return self.subscribers[:1] if self.queue.single_active else self.subscribers

    def pump(self) -> None:
        while self.ready and (idle := self._idle()):
            idle.deliver(self.ready.popleft())

    def _idle(self) -> "MemorySubscription | None":
        candidates = [s for s in self.active if len(s.in_hand) < s.prefetch]
        return min(candidates, key=lambda s: len(s.in_hand), default=None)


@dataclass
class MemoryDelivery:
    """A message that a consumer has in hand."""

    body: bytes
    channel: _Channel

    async def ack(self) -> bool:
        """Return True: the message left the queue when it was delivered."""
        return True

    async def lost(self) -> None:
        """Wait for ever: within one process a delivery is never taken back."""
        await asyncio.Event().wait()

    async def release(self) -> None:
        """Put the message back at the head of the queue, as RabbitMQ does, after a pause so that it does not spin."""
        await asyncio.sleep(_PAUSE_S)
        self.channel.ready.appendleft(self.body)


class MemorySubscription(Subscription):
    """A consumer that handles up to `prefetch` messages at once, each in a task."""

    def __init__(self, channel: _Channel, callback: Callback, prefetch: int) -> None:
        self._channel, self._callback, self.prefetch = channel, callback, prefetch
        self.in_hand: dict[asyncio.Task[None], bytes] = {}

    @property
    @override
    def alive(self) -> bool:
        """Whether it is subscribed, and not drained."""
        return self in self._channel.subscribers

    def deliver(self, body: bytes) -> None:
        """Start to handle one message."""
        task = asyncio.ensure_future(self._callback(MemoryDelivery(body, self._channel)))
        self.in_hand[task] = body
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.in_hand.pop(task, None)
        if not task.cancelled():
            task.result()
        self._channel.pump()

    @override
    async def drain(self) -> None:
        self._end()
        while self.in_hand:
            await asyncio.wait(self.in_hand)

    @override
    async def abandon(self) -> None:
        self._end()
        given_back = dict(self.in_hand)
        await cancelled(*given_back)
        self._channel.ready.extendleft(body for task, body in given_back.items() if task.cancelled())
        self._channel.pump()

    def _end(self) -> None:
        if self.alive:
            self._channel.subscribers.remove(self)
            self._channel.pump()


class MemoryBus(Bus):
    """Topic-bound queues as deques. Not thread-safe: everything happens on one event loop.

    Within one process nothing takes minutes to come back, so retries wait for `longest_delay_s` at most.
    """

    lasting = False

    def __init__(self, parked: Path | None = None, longest_delay_s: float = 2.0) -> None:
        self._channels: dict[str, _Channel] = {}
        self._parking = ParkingLot(parked)
        self._longest_delay_s = longest_delay_s
        self._timers: set[asyncio.TimerHandle] = set()
        self._logged: dict[Log, list[bytes]] = {ENDS: []}
        self._listeners: list[tuple[Log, Listener]] = []
        self._ears: list[Listener] = []

    @override
    async def declare(self, queue: Queue) -> None:
        self._channels.setdefault(queue.name, _Channel(queue))

    @override
    async def publish(self, envelope: Envelope) -> None:
        body = envelope.encode()
        for log in (log for log in self._logged if log.wants(envelope.routing_key)):
            self._logged[log].append(body)
            for listener in (listener for followed, listener in self._listeners if followed == log):
                listener(body)
        for channel in self._channels.values():
            if channel.queue.wants(envelope.routing_key):
                self._put(channel, body)

    @override
    async def subscribe(self, queue: Queue, callback: Callback) -> MemorySubscription:
        """Subscribe; further consumers of a single-active queue wait for the first to leave."""
        channel = self._channels[queue.name]
        subscription = MemorySubscription(channel, callback, queue.prefetch)
        channel.subscribers.append(subscription)
        channel.pump()
        return subscription

    @override
    async def follow(self, log: Log, listener: Listener) -> None:
        for body in self._logged[log]:
            listener(body)
        self._listeners.append((log, listener))

    @override
    async def signal(self, body: bytes) -> None:
        for listener in self._ears:
            listener(body)

    @override
    async def listen(self, listener: Listener) -> None:
        self._ears.append(listener)

    @override
    async def retry(self, queue: Queue, envelope: Envelope, delay_s: float) -> None:
        loop = asyncio.get_running_loop()

        def due() -> None:
            self._timers.discard(timer)
            self._put(self._channels[queue.name], envelope.encode())

        timer = loop.call_later(min(delay_s, self._longest_delay_s), due)
        self._timers.add(timer)

    @override
    async def park(self, parked: Parked) -> None:
        self._parking.put(parked)

    @override
    async def parked(self, queue: str | None = None) -> list[Parked]:
        return self._parking.list(queue)

    @override
    async def replay(self, *parked_ids: str) -> None:
        for parked_id in parked_ids:
            parked = self._parking.take(parked_id)
            self._put(self._channels[parked.queue], fresh(parked))

    @override
    async def drop(self, *parked_ids: str) -> None:
        for parked_id in parked_ids:
            self._parking.take(parked_id)

    @override
    async def depth(self, queue: Queue) -> int:
        channel = self._channels[queue.name]
        return len(channel.ready) + sum(len(s.in_hand) for s in channel.subscribers)

    @override
    async def ready(self, queue: Queue) -> int:
        return len(self._channels[queue.name].ready)

    @override
    async def consumers(self, queue: Queue) -> int:
        return len(self._channels[queue.name].subscribers)

    @override
    async def parked_depth(self, queue: Queue) -> int:
        return len(self._parking.list(queue.name))

    @override
    async def ping(self) -> None:
        """Return at once: the bus is this process."""

    @override
    async def close(self) -> None:
        """Cancel the timers and the work in hand."""
        for timer in self._timers:
            timer.cancel()
        for channel in self._channels.values():
            for task in [t for s in channel.subscribers for t in s.in_hand]:
                task.cancel()

    def _put(self, channel: _Channel, body: bytes) -> None:
        channel.ready.append(body)
        channel.pump()
