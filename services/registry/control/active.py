"""The part of a registry that publishes: it consumes and looks at runs only while its registry leads."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

import structlog

from archloop.bus.consumer import Consumer
from archloop.bus.port import BusUnavailable, Delivery, Subscription
from archloop.contracts.envelope import Envelope
from archloop.errors import ArchloopError
from services.registry.control.controller import Controller
from services.registry.control.leadership import Alone, Leadership
from services.registry.records import utc_now

log = structlog.get_logger(__name__)

_LAST_WORDS_S = 3.0
_HANDOVER_S = 6.0


@dataclass(frozen=True)
class Speaker(Consumer):
    """A consumer that publishes nothing unless its registry leads at that moment."""

    leadership: Leadership = field(default_factory=Alone)

    async def _put(self, envelope: Envelope, around: object = None) -> None:
        if not self.leadership.leading:
            raise BusUnavailable("another registry leads")
        await super()._put(envelope, around)


class Active:
    """A consumer that is subscribed while its registry leads. For probes a standby is as alive as a leader."""

    def __init__(self, leadership: Leadership, speaker: Callable[[], Speaker], controller: Controller) -> None:
        self.leadership, self._make, self._controller = leadership, speaker, controller
        self._subscription: Subscription | None = None
        self.speaker: Speaker | None = None
        self._handled, self._began = 0, 0.0
        self._enough: int | None = None

    @property
    def alive(self) -> bool:
        """Whether the broker knows the consumer, if there is to be one."""
        return self._subscription is None or self._subscription.alive

    async def turn(self) -> None:
        """Renew the lease or try for it, and begin or end to consume accordingly. Raises Unavailable, BrokerRefused."""
        try:
            await self.leadership.campaign()
        finally:
            if self.leadership.leading != (self._subscription is not None):
                await (self._begin() if self.leadership.leading else self._end())

    async def caught_up(self) -> bool:
        """Return whether all messages are handled that waited once no other consumer had any of them in hand."""
        if self.speaker is None:
            return False
        bus, queue = self.speaker.bus, self.speaker.queue
        if not self.leadership.first and monotonic() - self._began < _HANDOVER_S:
            return False  # whoever led has a moment for what is in hand after its consumer has ended
        if self._enough is None and await bus.consumers(queue) <= 1:
            self._enough = self._handled + await bus.depth(queue)
        return self._enough is not None and self._handled >= self._enough

    async def drain(self) -> None:
        """Stop leading: finish what is in hand, or give it back where that takes too long."""
        subscription = self._subscription
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._end()
        except TimeoutError:
            log.warning("ended with messages in hand, which are delivered again")
            if subscription is not None:  # nobody is to handle any of them once the store is closed
                await subscription.abandon()
        try:
            await self.leadership.resign()
        except ArchloopError as error:
            log.warning("the lease runs out by itself", error=str(error))

    async def abandon(self) -> None:
        """Stop consuming at once; what is in hand is delivered again."""
        if (subscription := self._let_go()) is not None:
            await subscription.abandon()

    def _let_go(self) -> Subscription | None:
        """Return the subscription, which is nobody's from now on."""
        subscription, self._subscription, self.speaker = self._subscription, None, None
        return subscription

    async def _begin(self) -> None:
        self._controller.forget()
        self._controller.caught_up = False
        self._controller.horizon, self._began = utc_now(), monotonic()
        self.speaker, self._handled, self._enough = self._make(), 0, None
        self._subscription = await self.speaker.start(partial(self._counted, self.speaker))

    async def _counted(self, speaker: Speaker, delivery: Delivery) -> None:
        try:
            await speaker.on_delivery(delivery)
        finally:
            self._handled += 1

    async def _end(self) -> None:
        if (subscription := self._let_go()) is not None:
            log.info("this registry consumes no more")
            await subscription.drain()
