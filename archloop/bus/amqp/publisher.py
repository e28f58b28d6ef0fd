"""Publishes with confirms: returns when every queue that a message is routed to holds it safely."""

import asyncio
from datetime import UTC, datetime

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel

from archloop.bus.amqp.link import Link
from archloop.contracts.envelope import CONTENT_TYPE, Envelope


class Publisher:
    """One confirming channel, made anew when it is lost. Every call has a timeout: a silent broker is an absent one."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._channel: AbstractChannel | None = None
        self._lock = asyncio.Lock()

    async def send(self, message: Message, routing_key: str, exchange: str = "") -> None:
        """Publish. Raises BusUnavailable where it was not confirmed or no queue wanted it."""
        channel = await self._open()
        with self._link.translated():
            target = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
            await target.publish(message, routing_key, mandatory=True, timeout=self._link.timeout_s)

    async def _open(self) -> AbstractChannel:
        async with self._lock:
            if self._channel is None or self._channel.is_closed or not self._link.open:
                self._channel = await self._link.channel(publisher_confirms=True, on_return_raises=True)
            return self._channel


def of(envelope: Envelope) -> Message:
    """An envelope as an AMQP message, its attributes mirrored into the properties and, for tracers, a header."""
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


def raw(body: bytes, headers: dict[str, str]) -> Message:
    """Bytes that may be no envelope, with what we know of them in the headers."""
    return Message(
        body,
        content_type="application/octet-stream",
        delivery_mode=DeliveryMode.PERSISTENT,
        timestamp=datetime.now(UTC),
        headers=dict(headers),
    )
