"""The Bus port: what the consume loop needs of a message broker, and no more."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from pydantic import AwareDatetime, ConfigDict

from archloop.contracts.base import Frozen
from archloop.contracts.envelope import Envelope
from archloop.contracts.topology import Log, Queue
from archloop.errors import Unavailable


class BusUnavailable(Unavailable):
    """The broker did not take, or did not confirm, a message in time."""

    code = "bus_unavailable"


class Gone(BusUnavailable):
    """The broker answers, but has no such queue or exchange."""

    code = "gone"


class Parked(Frozen):
    """A message that no retry will mend, kept with the reason until a person replays it."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    id: str
    queue: str
    reason: str
    stack: str = ""
    attempt: int = 1
    first_failed: AwareDatetime
    body: bytes


class Delivery(Protocol):
    """One message handed to a consumer. Exactly one of `ack` and `release` ends it."""

    @property
    def body(self) -> bytes:
        """The bytes as they came."""

    async def ack(self) -> bool:
        """Let the broker forget the message. Return False where it cannot be told, and so will deliver it again."""

    async def release(self) -> None:
        """Give the message back unhandled, so that the broker delivers it again."""

    async def lost(self) -> None:
        """Return when the broker has taken it back, or the consumer is to end without it."""


Callback = Callable[[Delivery], Awaitable[None]]
Listener = Callable[[bytes], None]


class Subscription(Protocol):
    """A running consumer."""

    @property
    def alive(self) -> bool:
        """Whether the broker still knows this consumer."""

    async def drain(self) -> None:
        """Take no new message, and wait until those in hand are handled."""

    async def abandon(self) -> None:
        """Take no new message, and give those in hand back without waiting for who handles them."""


class Bus(Protocol):
    """At-least-once delivery of envelopes over topic-bound queues."""

    @property
    def lasting(self) -> bool:
        """Whether waiting messages outlive this process."""

    async def declare(self, queue: Queue) -> None:
        """Make the queue exist, with its bindings, its delay queues and its parked queue."""

    async def publish(self, envelope: Envelope) -> None:
        """Return once every queue bound to it holds the message safely.

        Waits for as long as a broker that is there takes nothing, for it is short of memory or disk: what was sent
        to it is not sent twice. Raises BusUnavailable where it is away or refuses, or no queue wants the message.
        """

    async def subscribe(self, queue: Queue, callback: Callback) -> Subscription:
        """Deliver messages to `callback`, up to `queue.prefetch` at a time."""

    async def follow(self, log: Log, listener: Listener) -> None:
        """Pass the log's messages to `listener`: those that it holds, then those that come, some of them twice.

        Where the log cannot be read for now, it is tried again and listened to from then on.
        """

    async def signal(self, body: bytes) -> None:
        """Pass bytes to whoever listens at this moment; nobody keeps them. Raises BusUnavailable."""

    async def listen(self, listener: Listener) -> None:
        """Pass signals to `listener` from now on, also those of others; where the broker is away, once it is back."""

    async def retry(self, queue: Queue, envelope: Envelope, delay_s: float) -> None:
        """Put the envelope back on this one queue after the delay in seconds."""

    async def park(self, parked: Parked) -> None:
        """Set the message aside until a person replays it."""

    async def parked(self, queue: str | None = None) -> list[Parked]:
        """Return the messages set aside for one queue, or for all, oldest first."""

    async def replay(self, *parked_ids: str) -> None:
        """Put parked messages back on their queues, at their first attempt. Raises NotFound."""

    async def drop(self, *parked_ids: str) -> None:
        """Forget parked messages: whoever asked for something by them gets no answer. Raises NotFound."""

    async def depth(self, queue: Queue) -> int:
        """Count the messages that are ready or in hand. Raises Gone, BusUnavailable."""

    async def ready(self, queue: Queue) -> int:
        """Count the messages that no consumer has in hand. Raises Gone, BusUnavailable."""

    async def consumers(self, queue: Queue) -> int:
        """Count the subscribed consumers, those that wait for their turn included. Raises Gone, BusUnavailable."""

    async def parked_depth(self, queue: Queue) -> int:
        """Count the messages set aside for the queue. Raises Gone, BusUnavailable."""

    async def ping(self) -> None:
        """Return if messages can be published and consumed, and every queue is there. Raises BusUnavailable."""

    async def close(self) -> None:
        """Close connections, and release or cancel what is in hand."""
