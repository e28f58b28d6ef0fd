"""Work of a run that is over is dropped at the door, on either bus; whatever else comes is handled."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from archloop.bus.amqp import AmqpBus
from archloop.bus.consumer import Consumer
from archloop.bus.ended_runs import EndedRuns
from archloop.bus.memory import MemoryBus
from archloop.bus.port import Bus
from archloop.contracts.base import Message
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import CandidateLost, RunFinished
from archloop.contracts.topology import ENDS
from archloop.metrics import DELIVERIES
from tests.contract.test_bus import WORK, Recording, scrubbed, until

pytestmark = pytest.mark.timeout(120)
OLD, NEW = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
LAST = CandidateLost(run_id="other", run_uid=NEW, index=9, step="evaluation", asked=1)


@pytest.fixture(params=["memory", "amqp"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    bus = MemoryBus() if request.param == "memory" else AmqpBus(request.getfixturevalue("broker_url"), "test")
    await bus.declare(WORK)
    if isinstance(bus, AmqpBus):
        await bus._topology.log(ENDS)
    yield bus
    if isinstance(bus, AmqpBus):
        async with bus._aside.briefly() as channel:
            await channel.queue_delete(ENDS.name)
        await scrubbed(bus)
    await bus.close()


def lost(run_uid: str | None = OLD, **about: object) -> CandidateLost:
    return CandidateLost(**{"run_id": "r", "run_uid": run_uid, "step": "evaluation", "asked": 3} | about)


async def ended(bus: Bus, run_uid: str | None = OLD) -> None:
    await bus.publish(Envelope.of(RunFinished(run_id="r", run_uid=run_uid, reason="completed"), source="test"))


async def worker(bus: Bus) -> tuple[Recording, EndedRuns]:
    """As every service is composed."""
    handler, ends = Recording(), await EndedRuns.followed(bus)
    await Consumer(bus, WORK, handler, "test", over=ends.over).start()
    return handler, ends


def dropped() -> float:
    return DELIVERIES.labels(WORK.name, "dropped")._value.get()


@pytest.mark.parametrize(
    ("message", "handled"),
    [
        (lost(), False),
        (lost(submission="trial-base-3"), False),
        (lost(index=7, cycle=2), False),
        (lost(NEW), True),
        (lost(None), True),
        (lost(None, submission="net-1"), True),
        (lost(run_id="r2"), True),
    ],
)
@pytest.mark.parametrize("when", ["before it started", "while it runs"])
async def test_a_worker_knows_which_runs_are_over(bus: Bus, message: Message, handled: bool, when: str) -> None:
    if when == "before it started":
        await ended(bus)
    handler, ends = await worker(bus)
    before = dropped()
    if when == "while it runs":
        await ended(bus)
    await until(lambda: ends.over(lost()))
    for each in (message, LAST):
        await bus.publish(Envelope.of(each, source="test"))
    await until(lambda: LAST in handler.seen and len(handler.seen) == 1 + handled)
    assert (message in handler.seen, dropped() - before) == (handled, 0 if handled else 1)


async def test_what_somebody_replays_is_handled_though_its_run_is_over(bus: Bus) -> None:
    await ended(bus)
    handler, _ = await worker(bus)
    envelope = Envelope.of(lost(), source="test")
    await bus.publish(envelope.model_copy(update={"replayed": True}))
    await until(lambda: handler.seen == [lost()])


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"{}", Envelope.of(RunFinished(run_id="r", reason=""), source="x").encode()]
)
def test_what_says_nothing_of_an_end_ends_nothing(body: bytes) -> None:
    ends = EndedRuns()
    ends.listen(body)
    assert not ends.over(lost())


async def test_a_log_that_was_deleted_is_made_again_and_what_was_known_stays_so(broker_url: str) -> None:
    bus = AmqpBus(broker_url, "test")
    try:
        await bus.declare(WORK)
        _, ends = await worker(bus)
        await ended(bus)
        await until(lambda: ends.over(lost()))
        async with bus._aside.briefly() as channel:
            await channel.queue_delete(ENDS.name)
        async with asyncio.timeout(20):
            while not ends.over(lost(NEW)):
                await bus._topology.log(ENDS)
                await ended(bus, NEW)
                await asyncio.sleep(0.2)
        assert ends.over(lost())
    finally:
        async with bus._aside.briefly() as channel:
            await channel.queue_delete(ENDS.name)
        await scrubbed(bus)
        await bus.close()
