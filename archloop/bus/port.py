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
    """The broker answers, and has no such queue or exchange."""

    code = "gone"


class Parked(Frozen):
    """A message that no retry will mend, kept with the reason until a person replays or drops it."""

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
        """Done: the broker may forget it. Whether it could be told; otherwise it delivers the message again."""

    async def release(self) -> None:
        """Not done: the broker gives it to somebody again."""

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
        """Take nothing new, wait for what is in hand."""


class Bus(Protocol):
    """At-least-once delivery of envelopes over topic-bound queues."""

    @property
    def lasting(self) -> bool:
        """Whether what waits outlives this process."""

    async def declare(self, queue: Queue) -> None:
        """Make the queue, its bindings, its retry and its parked queue exist."""

    async def publish(self, envelope: Envelope) -> None:
        """Return once every queue bound to it holds the message safely.

        Waits for as long as a broker that is there takes nothing, for it is short of memory or disk: what was sent
        to it is not sent twice. Raises BusUnavailable where it is away or refuses, or no queue wants the message.
        """

    async def subscribe(self, queue: Queue, callback: Callback) -> Subscription:
        """Deliver up to `queue.prefetch` messages at a time."""

    async def follow(self, log: Log, listener: Listener) -> None:
        """Tell what the log holds, which may be nothing where it cannot be had, then what comes, some of it twice."""

    async def retry(self, queue: Queue, envelope: Envelope, delay_s: float) -> None:
        """Put the envelope back on this one queue after the delay."""

    async def park(self, parked: Parked) -> None:
        """Set a message aside."""

    async def parked(self, queue: str | None = None) -> list[Parked]:
        """What is set aside, oldest first."""

    async def replay(self, *parked_ids: str) -> None:
        """Put parked messages back on their queues, their attempts forgotten. Raises NotFound."""

    async def depth(self, queue: Queue) -> int:
        """Messages ready or in hand. Raises Gone, BusUnavailable."""

    async def ready(self, queue: Queue) -> int:
        """Messages that nobody has in hand. Raises Gone, BusUnavailable."""

    async def consumers(self, queue: Queue) -> int:
        """Those that are subscribed, the ones that wait for their turn among them. Raises Gone, BusUnavailable."""

    async def parked_depth(self, queue: Queue) -> int:
        """How many messages are set aside for the queue. Raises Gone, BusUnavailable."""

    async def ping(self) -> None:
        """Return if messages can be published and consumed, and every queue is there. Raises BusUnavailable."""

    async def close(self) -> None:
        """Let go of everything."""
