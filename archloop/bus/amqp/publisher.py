"""Publishes with confirms: returns when every queue that a message is routed to holds it safely."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from archloop.bus.amqp.link import Link
from archloop.contracts.envelope import CONTENT_TYPE, Envelope

_NOTED = ("x-delivery-count", "x-acquired-count", "x-death", "x-first-death-exchange", "x-first-death-queue")


class Publisher:
    """One confirming channel, made anew when it is lost.

    A broker that is short of memory or disk confirms nothing, keeps what it was sent, and takes it later: who would
    send it again after a while would have it there as often. So a confirmation is waited for while the connection
    lives, which heartbeats decide.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._channel: AbstractChannel | None = None
        self._lock = asyncio.Lock()
        self._under_way: dict[str, asyncio.Event] = {}

    async def send(
        self, message: Message, routing_key: str, exchange: str = "", timeout_s: float | None = None
    ) -> None:
        """Publish. Raises BusUnavailable where it was not confirmed (in `timeout_s`) or no queue wanted it."""
        channel = await self._open()
        with self._link.translated():
            target = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
            async with asyncio.timeout(timeout_s), self._alone(message.message_id):
                await target.publish(message, routing_key, mandatory=True)

    @asynccontextmanager
    async def _alone(self, message_id: str | None) -> AsyncIterator[None]:
        """Let one message of an id be under way at a time.

        By the id the client tells which message came back because no queue wanted it.
        """
        name = message_id or ""
        while name and name in self._under_way:
            await self._under_way[name].wait()
        over = self._under_way[name] = asyncio.Event()
        try:
            yield
        finally:
            if self._under_way.get(name) is over:
                del self._under_way[name]
            over.set()

    async def _open(self) -> AbstractChannel:
        async with self._lock:
            if self._channel is None or self._channel.is_closed or not self._link.open:
                self._channel = await self._link.channel(publisher_confirms=True, on_return_raises=True)
            return self._channel


def of(envelope: Envelope) -> Message:
    """Make an AMQP message of an envelope, its attributes mirrored into the properties and, for tracers, a header."""
    return Message(
        envelope.encode(),
        content_type=CONTENT_TYPE,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=envelope.id,
        type=envelope.type,
        timestamp=envelope.time,
        app_id=envelope.source,
        headers={"traceparent": envelope.traceparent},
    )


def copy(message: AbstractIncomingMessage) -> Message:
    """Copy a received message as it was sent, without what the broker noted on it."""
    headers = {name: value for name, value in message.headers.items() if name not in _NOTED}
    kept = {name: getattr(message, name) for name in ("content_type", "message_id", "type", "timestamp", "app_id")}
    return Message(message.body, headers=headers, delivery_mode=DeliveryMode.PERSISTENT, **kept)


def raw(body: bytes, headers: dict[str, str]) -> Message:
    """Make an AMQP message of bytes that may be no envelope, with what is known of them in the headers."""
    return Message(
        body,
        content_type="application/octet-stream",
        delivery_mode=DeliveryMode.PERSISTENT,
        timestamp=datetime.now(UTC),
        headers=dict(headers),
    )
