"""What a consumer is put between: a bus that only writes down, a delivery, and a handler."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from archloop.bus.port import Parked
from archloop.contracts.base import Message
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import CandidateLost, RunFinished
from archloop.contracts.topology import Queue

LOST = CandidateLost(run_id="r", cycle=0, index=1, step="evaluation", asked=3)
ANSWER = RunFinished(run_id="r", reason="over")
ASKED = Envelope.of(LOST, source="test")


@dataclass
class WritingBus:
    published: list[Envelope] = field(default_factory=list)
    retried: list[tuple[str, int, float]] = field(default_factory=list)
    parkings: list[Parked] = field(default_factory=list)

    async def publish(self, envelope: Envelope) -> None:
        self.published.append(envelope)

    async def retry(self, queue: Queue, envelope: Envelope, delay_s: float) -> None:
        self.retried.append((queue.name, envelope.attempt, delay_s))

    async def park(self, parked: Parked) -> None:
        self.parkings.append(parked)


@dataclass
class Delivery:
    body: bytes = ASKED.encode()
    taken: bool = True
    acked: int = 0
    released: int = 0

    async def ack(self) -> bool:
        self.acked += 1
        return self.taken

    async def release(self) -> None:
        self.released += 1

    async def lost(self) -> None:
        await asyncio.Event().wait()


@dataclass
class Handler:
    raises: Exception | None = None
    seen: list[Message] = field(default_factory=list)
    bound: dict[str, Any] = field(default_factory=dict)

    async def handle(self, message: Message) -> Sequence[Message]:
        self.seen.append(message)
        self.bound = structlog.contextvars.get_contextvars()
        if self.raises is not None:
            raise self.raises
        return [ANSWER]
