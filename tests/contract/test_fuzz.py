"""Malformed messages on every queue's real consume loop: each is parked with a reason, and the good ones are handled.

`--fuzz N` sends N of them to each queue.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import aio_pika
import pytest
from hypothesis import strategies as st

from archloop.bus.amqp import AmqpBus
from archloop.bus.consumer import Consumer, Handler, RetryPolicy
from archloop.bus.port import Delivery
from archloop.contracts.base import Message
from archloop.contracts.envelope import Envelope
from archloop.contracts.topology import Queue
from tests.contract import mutations, rooms
from tests.contract.rooms import Room
from tests.contract.test_bus import scrubbed

pytestmark = [pytest.mark.timeout(3600), pytest.mark.slow]

Broken = tuple[bytes, dict[str, object], str | None]
EVERYTHING = Queue("fuzz-results", ("#",), prefetch=200)
GOOD = 20
STILL_S = 120.0
NO_SECOND_ATTEMPT = RetryPolicy(delays_s=())


@dataclass
class Watched:
    """A handler, and the ids of what it handled."""

    handler: Handler
    handled: Counter[str] = field(default_factory=Counter)

    async def handle(self, message: Message) -> Sequence[Message]:
        answers = await self.handler.handle(message)
        self.handled[message.id] += 1
        return answers


@pytest.fixture
async def bus(broker_url: str) -> AsyncIterator[AmqpBus]:
    bus = AmqpBus(broker_url, "fuzz", timeout_s=60)
    await bus.declare(EVERYTHING)
    await bus.subscribe(EVERYTHING, forget)
    yield bus
    await scrubbed(bus)
    await bus.close()


@pytest.fixture(params=rooms.ROOMS, ids=lambda make: make.__name__)
async def room(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Room]:
    make: Callable[[Path], Awaitable[Room]] = request.param
    room = await make(tmp_path)
    yield room
    await room.close()


@pytest.fixture
async def broken(request: pytest.FixtureRequest, room: Room) -> list[Broken]:
    """Bodies, headers and message ids."""
    alike = [Envelope.of(await room.say("alike", number), source="fuzz").encode() for number in range(3)]
    samples = alike + mutations.golden(room.queue)

    def numbered(number: int) -> st.SearchStrategy[Broken]:
        return st.tuples(mutations.bodies(samples, number), mutations.headers, mutations.message_ids)

    return mutations.collected(numbered, request.config.getoption("--fuzz"))


async def forget(delivery: Delivery) -> None:
    await delivery.ack()


async def send(bus: AmqpBus, queue: Queue, messages: Sequence[aio_pika.Message]) -> None:
    """Right into the queue, in this order, confirmed: a channel that closes loses what a busy queue has not taken."""
    channel = await bus._out.channel(publisher_confirms=True)
    for message in messages:
        await channel.default_exchange.publish(message, queue.name)
    await channel.close()


@dataclass
class Account:
    """What became of all that was sent: `lost` is neither parked nor handled, `ignored` is good and not handled."""

    parked: dict[bytes, str]
    lost: list[bytes]
    ignored: list[Message]

    @property
    def complete(self) -> bool:
        return not self.lost and not self.ignored


async def settled(look: Callable[[], Awaitable[Account]]) -> Account:
    """Once all is accounted for, or nothing more happened for so long that nothing will."""
    account, changed = await look(), monotonic()
    while not account.complete and monotonic() - changed < STILL_S:
        await asyncio.sleep(1)
        before, account = account, await look()
        if (len(account.lost), len(account.ignored)) != (len(before.lost), len(before.ignored)):
            changed = monotonic()
    return account


async def test_what_is_malformed_is_parked_and_what_is_good_is_handled_amid_it(
    bus: AmqpBus, room: Room, broken: Sequence[Broken]
) -> None:
    watched = Watched(room.handler)
    subscription = await Consumer(bus, room.queue, watched, "fuzz", NO_SECOND_ATTEMPT).start()
    good = [await room.say("good", number) for number in range(GOOD)]
    mixed = [aio_pika.Message(body, headers=headers, message_id=name) for body, headers, name in broken]
    for at, message in enumerate(good):
        place = (at + 1) * len(mixed) // (len(good) + 1)
        mixed.insert(place, aio_pika.Message(Envelope.of(message, source="fuzz").encode(), message_id=message.id))
    await send(bus, room.queue, mixed)

    async def look() -> Account:
        parked = {each.body: each.reason for each in await bus.parked(room.queue.name)}
        lost = [body for body, *_ in broken if body not in parked and mutations.readable(body) not in watched.handled]
        return Account(parked, lost, [message for message in good if message.id not in watched.handled])

    account = await settled(look)
    where = f"in hand {subscription.in_hand}, ready {await bus.ready(room.queue)}"
    assert subscription.alive
    assert account.lost == [], f"neither parked nor handled ({where})"
    assert account.ignored == [], where
    reasons = account.parked.values()
    assert [reason for reason in reasons if not re.match(r"(?!unavailable)[a-z_]+: .", reason)] == []
