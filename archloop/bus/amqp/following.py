"""Reads a log from its beginning on, and again whenever the connection or the log was lost."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from aio_pika.abc import AbstractIncomingMessage

from archloop.bus.amqp import consuming
from archloop.bus.amqp.link import AWAY, Link
from archloop.bus.port import Listener
from archloop.contracts.topology import Log
from archloop.errors import ArchloopError
from archloop.tasks import cancelled

log = structlog.get_logger(__name__)

_AT_ONCE = 500
_QUIET_S = 0.3
_BEGINNING_S = 5.0
_AGAIN_S = 5.0


class AmqpFollower:
    """Tells a listener every message of a log.

    A stream has no end to reach: what it held counts as told once nothing has come for a moment.
    """

    def __init__(
        self, link: Link, followed: Log, listener: Listener, declare: Callable[[Log], Awaitable[None]]
    ) -> None:
        self._link, self._log, self._listener, self._declare = link, followed, listener, declare
        self._heard = 0
        self._told = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when the log's messages so far are told, or cannot be for now."""
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
                log.warning("cannot follow", log=self._log.name, error=str(error))
            self._told.set()
            await asyncio.sleep(_AGAIN_S)

    async def _follow(self) -> None:
        """Listen until the consumer is lost. Raises BusUnavailable, BrokerRefused."""
        await self._declare(self._log)
        channel, tag, consumers = await consuming.begun(
            self._link, self._log.name, self._on_message, _AT_ONCE, {"x-stream-offset": "first"}
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
