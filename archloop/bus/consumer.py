"""The one consume loop: validate, handle, publish the results, acknowledge.

A handler returns what happened and never publishes. At-least-once delivery, derived ids and idempotent
handlers together give each effect once (design, section 4).
"""

import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import structlog

from archloop.bus.port import Bus, BusUnavailable, Callback, Delivery, Parked, Subscription
from archloop.contracts.base import CandidateMessage, Message, derived_id
from archloop.contracts.envelope import Envelope, MalformedMessage
from archloop.contracts.topology import Queue
from archloop.contracts.trace import trace_id
from archloop.contracts.values import sha256_of
from archloop.errors import ArchloopError
from archloop.ops.metrics import DELIVERIES, HANDLING, PUBLISHED

log = structlog.get_logger(__name__)

End = Literal["handled", "retried", "parked", "released"]


class Handler(Protocol):
    """One step of the loop. Idempotent: the same message twice has the effect of once."""

    async def handle(self, message: Any) -> Sequence[Message]:
        """Do the step; return the messages that say what happened."""


@dataclass(frozen=True)
class RetryPolicy:
    """Delays in seconds before the second, third, … attempt; after the last one the message is parked.

    Each step twice: a server that restarts while it is asked again must not cost a message half of its attempts.
    """

    delays_s: tuple[float, ...] = (5.0, 5.0, 30.0, 30.0, 300.0, 300.0)

    def delay(self, attempt: int) -> float | None:
        """The wait after this failed attempt, or None when it was the last."""
        return self.delays_s[attempt - 1] if attempt <= len(self.delays_s) else None


@dataclass(frozen=True)
class Consumer:
    """Feeds one queue's messages to one handler."""

    bus: Bus
    queue: Queue
    handler: Handler
    service: str
    policy: RetryPolicy = RetryPolicy()

    async def start(self, callback: Callback | None = None) -> Subscription:
        """Declare the queue and begin; `callback` is what stands before `on_delivery`, if anything does."""
        await self.bus.declare(self.queue)
        return await self.bus.subscribe(self.queue, callback or self.on_delivery)

    async def on_delivery(self, delivery: Delivery) -> None:
        """Bring one delivery to its end: acknowledged, retried, parked, or given back to the broker."""
        with HANDLING.labels(self.queue.name).time():
            end = await self._ended(delivery)
        DELIVERIES.labels(self.queue.name, end).inc()

    async def _ended(self, delivery: Delivery) -> End:
        try:
            end = await self._settle(delivery)
        except BusUnavailable as error:
            log.warning("bus unavailable, delivery given back", queue=self.queue.name, error=str(error))
            await delivery.release()
            return "released"
        except Exception as error:  # noqa: BLE001 - a mistake of this loop's own must not keep the message for ever
            log.error("delivery given back", queue=self.queue.name, error=repr(error))
            await delivery.release()
            return "released"
        await delivery.ack()
        return end

    async def _settle(self, delivery: Delivery) -> End:
        try:
            envelope = Envelope.parse(delivery.body)
        except MalformedMessage as error:
            return await self._park(delivery.body, error, attempt=1)
        with structlog.contextvars.bound_contextvars(**_context(envelope)):
            return await self._attempt(delivery, envelope)

    async def _attempt(self, delivery: Delivery, envelope: Envelope) -> End:
        try:
            message = envelope.message()
        except MalformedMessage as error:
            return await self._failed(delivery, envelope, error)
        with structlog.contextvars.bound_contextvars(**_candidate(message)):
            return await self._handle(delivery, envelope, message)

    async def _handle(self, delivery: Delivery, envelope: Envelope, message: Message) -> End:
        try:
            results = await self.handler.handle(message)
        except BusUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, the message must not be lost
            return await self._failed(delivery, envelope, error)
        await self.emit(results, cause=envelope)
        log.info("handled", service=self.service, results=[result.name for result in results])
        return "handled"

    async def emit(self, results: Sequence[Message], cause: Envelope | None = None) -> None:
        """Publish what a handler, or the registry's clock, has to say."""
        for result in results:
            await self.say(Envelope.of(result, source=self.service, cause=cause))

    async def say(self, envelope: Envelope) -> None:
        """Publish what has its envelope already."""
        await self.bus.publish(envelope)
        PUBLISHED.labels(envelope.routing_key).inc()

    async def _failed(self, delivery: Delivery, envelope: Envelope, error: Exception) -> End:
        permanent = isinstance(error, ArchloopError) and not error.retryable
        delay = None if permanent else self.policy.delay(envelope.attempt)
        if delay is None:
            return await self._park(delivery.body, error, envelope.attempt)
        log.warning(
            "handling failed, will retry",
            delay_s=delay,
            error=str(error),
            exc_info=not isinstance(error, ArchloopError),
        )
        await self.bus.retry(self.queue, envelope.again(), delay)
        return "retried"

    async def _park(self, body: bytes, error: Exception, attempt: int) -> End:
        log.error("message parked", queue=self.queue.name, reason=str(error))
        await self.bus.park(
            Parked(
                id=derived_id("parked", self.queue.name, sha256_of(body)),
                queue=self.queue.name,
                reason=f"{getattr(error, 'code', type(error).__name__)}: {error}",
                stack=_stack(error),
                attempt=attempt,
                first_failed=datetime.now(UTC),
                body=body,
            )
        )
        return "parked"


def _stack(error: Exception) -> str:
    """Python parses source lines for it, which fails where another thread parses at the same time (CPython 106905)."""
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
