"""Reads a queue that is nobody's work: a log from its beginning on, or signals; again whenever it was lost."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from aio_pika.abc import AbstractIncomingMessage

from archloop.bus.amqp import consuming
from archloop.bus.amqp.link import AWAY, Link
from archloop.bus.port import Listener
from archloop.errors import ArchloopError
from archloop.tasks import cancelled

log = structlog.get_logger(__name__)

_AT_ONCE = 500
_QUIET_S = 0.3
_BEGINNING_S = 5.0
_AGAIN_S = 5.0


@dataclass(frozen=True)
class Followed:
    """A queue by its name, how it is made, and the arguments for its consumers."""

    name: str
    make: Callable[[], Awaitable[object]]
    arguments: Mapping[str, Any] = field(default_factory=dict)


class AmqpFollower:
    """Tells a listener every message of a queue.

    A stream has no end to reach: what it held counts as told once nothing has come for a moment.
    """

    def __init__(self, link: Link, followed: Followed, listener: Listener) -> None:
        self._link, self._followed, self._listener = link, followed, listener
        self._heard = 0
        self._told = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when the messages so far are told, or cannot be for now."""
        self._task = asyncio.create_task(self._forever())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), _BEGINNING_S)

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            await cancelled(self._task)

    async def _forever(self) -> None:
        while True:
            try:
                await self._follow()
            except ArchloopError as error:
                log.warning("cannot follow", queue=self._followed.name, error=str(error))
            self._told.set()
            await asyncio.sleep(_AGAIN_S)

    async def _follow(self) -> None:
        """Listen until the consumer is lost. Raises BusUnavailable, BrokerRefused."""
        await self._followed.make()
        channel, tag, consumers = await consuming.begun(
            self._link, self._followed.name, self._on_message, _AT_ONCE, self._followed.arguments
        )
        try:
            heard = -1
            while tag in consumers and not channel.is_closed and self._link.open:
                if heard == self._heard:
                    self._told.set()
                heard = self._heard
                await asyncio.sleep(_QUIET_S)
        finally:
            with suppress(*AWAY):
                await channel.close()

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        self._heard += 1
        self._listener(message.body)
        with suppress(*AWAY):
            await message.ack()
