"""The one consume loop: validate, handle, publish the results, acknowledge.

A handler returns what happened and never publishes. At-least-once delivery, derived ids and idempotent
handlers together give each effect once (design, section 4).
"""

import asyncio
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import structlog

from archloop import telemetry
from archloop.bus.outbox import End, Outbox, Settlement
from archloop.bus.port import Bus, BusUnavailable, Callback, Delivery, Parked, Subscription
from archloop.contracts.base import CandidateMessage, Message, derived_id
from archloop.contracts.envelope import Envelope, MalformedMessage
from archloop.contracts.topology import Queue
from archloop.contracts.trace import trace_id
from archloop.contracts.values import sha256_of
from archloop.errors import ArchloopError
from archloop.metrics import DELIVERIES, HANDLING, IN_HAND, PUBLISHED

log = structlog.get_logger(__name__)

_CONFIRMED_S = 10.0


class Handler(Protocol):
    """One step of the loop. Idempotent: the same message twice has the effect of once."""

    async def handle(self, message: Any) -> Sequence[Message]:
        """Do the step and return the messages that say what happened."""


@dataclass(frozen=True)
class RetryPolicy:
    """Delays in seconds before the second, third, … attempt; after the last one the message is parked.

    Each step twice: a server that restarts while it is asked again must not cost a message half of its attempts.
    """

    delays_s: tuple[float, ...] = (5.0, 5.0, 30.0, 30.0, 300.0, 300.0)

    def delay(self, attempt: int) -> float | None:
        """Return the seconds to wait after this failed attempt (counted from 1), or None where it was the last."""
        return self.delays_s[attempt - 1] if attempt <= len(self.delays_s) else None


def nothing_is_over(_: Message) -> bool:
    """Return False: no run is over, and every message is handled."""
    return False


@dataclass(frozen=True)
class Consumer:
    """Feeds one queue's messages to one handler, and drops those that belong to runs that are `over`."""

    bus: Bus
    queue: Queue
    handler: Handler
    service: str
    policy: RetryPolicy = RetryPolicy()
    over: Callable[[Message], bool] = nothing_is_over
    outbox: Outbox = field(default_factory=Outbox)

    async def start(self, callback: Callback | None = None) -> Subscription:
        """Declare the queue and subscribe.

        Args:
            callback: What gets each delivery in place of `on_delivery`; it is expected to pass deliveries on to it.

        """
        await self.bus.declare(self.queue)
        return await self.bus.subscribe(self.queue, callback or self.on_delivery)

    async def on_delivery(self, delivery: Delivery) -> None:
        """Handle one delivery until it is acknowledged or released; keep what is left to publish for its return."""
        name = self.queue.name
        with HANDLING.labels(name).time(), IN_HAND.labels(name).track_inprogress():
            end = await self._ended(delivery)
        DELIVERIES.labels(name, end).inc()

    async def _ended(self, delivery: Delivery) -> End:
        try:
            settled = self.outbox.take(delivery.body) or await self._settle(delivery)
            said = await settled.said(delivery)
            if said and await delivery.ack():
                return settled.end
            self.outbox.keep(delivery.body, settled)
            if said:
                return settled.end
        except Exception as error:  # noqa: BLE001 - a mistake of this loop's own must not keep the message for ever
            log.error("delivery given back", queue=self.queue.name, error=repr(error))
        await delivery.release()
        return "released"

    async def _settle(self, delivery: Delivery) -> Settlement:
        try:
            envelope = Envelope.parse(delivery.body)
        except MalformedMessage as error:
            return self._park(delivery.body, error, attempt=1)
        with structlog.contextvars.bound_contextvars(**_context(envelope)):
            return await self._attempt(delivery, envelope)

    async def _attempt(self, delivery: Delivery, envelope: Envelope) -> Settlement:
        try:
            message = envelope.message()
        except MalformedMessage as error:
            return self._failed(delivery, envelope, error)
        with (
            structlog.contextvars.bound_contextvars(**_candidate(message)),
            telemetry.consuming(self.service, self.queue.name, envelope, message) as span,
        ):
            if self.over(message) and not envelope.replayed:
                log.info("dropped: its run is over", service=self.service)
                settled = Settlement.of("dropped")
            else:
                settled = await self._handle(delivery, envelope, message, span)
            span.note(end=settled.end)
            return settled

    async def _handle(
        self, delivery: Delivery, envelope: Envelope, message: Message, span: telemetry.Span
    ) -> Settlement:
        try:
            results = await self.handler.handle(message)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, the message must not be lost
            span.fail(error)
            return self._failed(delivery, envelope, error)
        log.info("handled", service=self.service, results=[result.name for result in results])
        put = partial(self._put, around=telemetry.here())
        return Settlement.of("handled", [partial(put, self._wrapped(result, envelope)) for result in results])

    async def emit(self, results: Sequence[Message], cause: Envelope | None = None) -> None:
        """Publish messages that answer no delivery, such as the registry's clock has, however long the broker takes."""
        for result in results:
            await self._put(self._wrapped(result, cause))

    async def say(self, envelope: Envelope) -> None:
        """Publish an envelope for a caller who waits. Raises BusUnavailable where the broker confirms nothing soon."""
        try:
            async with asyncio.timeout(_CONFIRMED_S):
                await self._put(envelope)
        except TimeoutError as error:
            raise BusUnavailable("the broker took nothing in time: it may be short of memory or disk") from error

    def _wrapped(self, result: Message, cause: Envelope | None) -> Envelope:
        return Envelope.of(result, source=self.service, cause=cause)

    async def _put(self, envelope: Envelope, around: object = None) -> None:
        with telemetry.producing(self.service, envelope, around):
            await self.bus.publish(envelope)
        PUBLISHED.labels(envelope.routing_key).inc()

    def _failed(self, delivery: Delivery, envelope: Envelope, error: Exception) -> Settlement:
        permanent = isinstance(error, ArchloopError) and not error.retryable
        delay = None if permanent else self.policy.delay(envelope.attempt)
        if delay is None:
            return self._park(delivery.body, error, envelope.attempt)
        log.warning(
            "handling failed, will retry",
            delay_s=delay,
            error=str(error),
            exc_info=not isinstance(error, ArchloopError),
        )
        return Settlement.of("retried", [partial(self.bus.retry, self.queue, envelope.again(), delay)])

    def _park(self, body: bytes, error: Exception, attempt: int) -> Settlement:
        log.error("message parked", queue=self.queue.name, reason=str(error))
        parked = Parked(
            id=derived_id("parked", self.queue.name, sha256_of(body)),
            queue=self.queue.name,
            reason=f"{getattr(error, 'code', type(error).__name__)}: {error}",
            stack=_stack(error),
            attempt=attempt,
            first_failed=datetime.now(UTC),
            body=body,
        )
        return Settlement.of("parked", [partial(self.bus.park, parked)])


def _stack(error: Exception) -> str:
    """Format the traceback, or the error alone where that fails.

    Python parses source lines for it, which fails where another thread parses at the same time (CPython 106905).
    """
    with suppress(SystemError):
        return "".join(traceback.format_exception(error))
    return "".join(traceback.format_exception_only(error))


def _context(envelope: Envelope) -> dict[str, object]:
    return {
        "run_id": envelope.runid,
        "message_id": envelope.id,
        "trace_id": trace_id(envelope.traceparent),
        "type": envelope.type,
        "attempt": envelope.attempt,
    }


def _candidate(message: Message) -> dict[str, object]:
    return {"candidate_id": message.candidate_id} if isinstance(message, CandidateMessage) else {}
