"""A broker that takes nothing for a while: no message is handled twice for it, and none is set aside."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from archloop.bus import outbox
from archloop.bus.amqp import AmqpBus, publisher
from archloop.bus.amqp.declaring import DELIVERY_LIMIT
from archloop.bus.consumer import Consumer
from archloop.bus.port import BusUnavailable
from archloop.contracts.base import Message
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import RunFinished
from archloop.contracts.topology import EXCHANGE, Queue
from archloop.errors import ArchloopError, InvalidInput, Unavailable
from tests.contract.test_bus import FAST, WORK, Recording, envelope, lost, until
from tests.servers.rabbitmq import RabbitMQ

pytestmark = [pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]
RESULT = RunFinished(run_id="r", reason="complete")
PROBE = RunFinished(run_id="probe", reason="complete")
RESULTS = Queue("results", ("run.finished",), prefetch=10)
Trouble = Callable[[RabbitMQ, AmqpBus], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """What an operator, or the disk, does to the broker, and how it ends."""

    on: Trouble
    off: Trouble


def controlled(command: str, *arguments: str) -> Trouble:
    async def do(broker: RabbitMQ, _: AmqpBus) -> None:
        await asyncio.to_thread(broker.control, command, "-p", broker.vhost, *arguments)

    return do


def alarm(resource: str, *, on: bool) -> Trouble:
    async def do(broker: RabbitMQ, _: AmqpBus) -> None:
        await asyncio.to_thread(broker.alarm, resource, on=on)

    return do


async def without_exchange(_: RabbitMQ, bus: AmqpBus) -> None:
    async with bus._aside.briefly() as channel:
        await channel.exchange_delete(EXCHANGE)


async def full(broker: RabbitMQ, bus: AmqpBus) -> None:
    rule = ("full", f"^{RESULTS.name}$", '{"max-length":1}', "--apply-to", "queues")
    await asyncio.to_thread(broker.control, "set_policy", "-p", broker.vhost, *rule)
    with suppress(BusUnavailable):
        for number in range(100):
            await bus._publisher.send(publisher.of(envelope(number)), RESULTS.name)


async def forbidden(broker: RabbitMQ, bus: AmqpBus) -> None:
    """The broker looks up a channel's rights once, so what was published on this one before could be still."""
    await asyncio.to_thread(broker.control, "set_permissions", "-p", broker.vhost, "test", ".*", "^$", ".*")
    if bus._publisher._channel is not None:
        await bus._publisher._channel.close()


async def emptied(broker: RabbitMQ, bus: AmqpBus) -> None:
    async with bus._aside.briefly() as channel:
        await (await channel.get_queue(RESULTS.name)).purge()
    await asyncio.to_thread(broker.control, "clear_policy", "-p", broker.vhost, "full")


async def unbound(_: RabbitMQ, bus: AmqpBus) -> None:
    async with bus._aside.briefly() as channel:
        await (await channel.get_queue(RESULTS.name)).unbind(EXCHANGE, "run.finished")


async def redeclared(_: RabbitMQ, bus: AmqpBus) -> None:
    await bus.declare(RESULTS)


TROUBLES = {
    "memory alarm": Case(alarm("memory", on=True), alarm("memory", on=False)),
    "disk alarm": Case(alarm("disk", on=True), alarm("disk", on=False)),
    "no write permission": Case(forbidden, controlled("set_permissions", "test", ".*", ".*", ".*")),
    "queue full by policy": Case(full, emptied),
    "exchange deleted": Case(without_exchange, redeclared),
    "nobody is bound": Case(unbound, redeclared),
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "PAUSES_S", (0.1,))


@asynccontextmanager
async def working(
    broker: RabbitMQ, gate: asyncio.Event, *raises: Exception
) -> AsyncIterator[tuple[AmqpBus, Recording]]:
    """A consumer that has one message in hand, whose handling ends with the gate."""
    bus, handler = AmqpBus(broker.url, "test", timeout_s=2), Recording(*raises, answers=[RESULT], block=gate)
    await bus.declare(RESULTS)
    await Consumer(bus, WORK, handler, "test", FAST).start()
    await bus.publish(envelope(1))
    await until(lambda: handler.started == 1)
    try:
        yield bus, handler
    finally:
        async with bus._aside.briefly() as channel:
            for name in (WORK.name, WORK.parked_name, RESULTS.name, RESULTS.parked_name, f"{WORK.name}.retry.10"):
                await channel.queue_delete(name)
        await bus.close()


async def said(bus: AmqpBus) -> list[Message]:
    """The results, once there is one and nothing is in hand any more."""
    found: list[Message] = []
    async with asyncio.timeout(20), bus._aside.briefly() as channel:
        source = await channel.get_queue(RESULTS.name)
        while not found or bus._subscriptions[0].in_hand or await bus.depth(RESULTS):
            message = await source.get(no_ack=True, fail=False)
            found += [Envelope.parse(message.body).message()] if message else []
            await asyncio.sleep(0.02)
    return [each for each in found if each.name == RESULT.name and each != PROBE]


@pytest.mark.parametrize("name", TROUBLES)
async def test_results_are_kept_and_said_once_when_the_broker_takes_them(mortal_broker: RabbitMQ, name: str) -> None:
    gate = asyncio.Event()
    async with working(mortal_broker, gate) as (bus, handler):
        await TROUBLES[name].on(mortal_broker, bus)
        gate.set()
        await until(lambda: handler.seen == [lost(1)])
        if "alarm" in name:
            await blocked(bus)
        else:
            with pytest.raises(ArchloopError, match=r"NO_ROUTE|NOT_FOUND|ACCESS_REFUSED|refused"):
                await bus.publish(Envelope.of(PROBE, source="probe"))
        await asyncio.sleep(1)
        assert bus._subscriptions[0].in_hand == 1
        await TROUBLES[name].off(mortal_broker, bus)
        assert (await said(bus), handler.started) == ([RESULT], 1)
        assert [await bus.depth(WORK), await bus.parked()] == [0, []]


@pytest.mark.parametrize(
    ("error", "attempts", "parked"), [(Unavailable("store down"), 2, 0), (InvalidInput("x", 1, "2"), 1, 1)]
)
async def test_what_is_to_be_retried_or_parked_is_so_once_after_an_alarm(
    mortal_broker: RabbitMQ, error: Exception, attempts: int, parked: int
) -> None:
    gate = asyncio.Event()
    async with working(mortal_broker, gate, error) as (bus, handler):
        await asyncio.to_thread(mortal_broker.alarm, "memory", on=True)
        gate.set()
        await until(lambda: handler.seen == [lost(1)])
        await blocked(bus)
        assert (handler.started, bus._subscriptions[0].in_hand) == (1, 1)
        await asyncio.to_thread(mortal_broker.alarm, "memory", on=False)
        await until(lambda: len(handler.seen) == attempts and not bus._subscriptions[0].in_hand, 20)
        assert [len(await bus.parked()), await bus.depth(WORK)] == [parked, 0]


async def test_a_message_whose_connections_are_lost_again_and_again_is_handled_once_and_not_set_aside(
    mortal_broker: RabbitMQ,
) -> None:
    gate, losses = asyncio.Event(), DELIVERY_LIMIT + 5
    async with working(mortal_broker, gate) as (bus, handler):
        subscription = bus._subscriptions[0]
        subscription._poll_s = subscription._again_s = 0.02
        for _ in range(losses):
            await until(lambda: any(not each.closed() for each in subscription._in_hand.values()), 20)
            assert subscription._channel is not None
            await subscription._channel.close()
        gate.set()
        assert (await said(bus), handler.started, await bus.parked()) == ([RESULT], 1, [])


async def test_a_service_that_is_to_end_does_not_wait_for_the_alarm(mortal_broker: RabbitMQ) -> None:
    gate = asyncio.Event()
    async with working(mortal_broker, gate) as (bus, handler):
        await asyncio.to_thread(mortal_broker.alarm, "disk", on=True)
        gate.set()
        await until(lambda: handler.seen == [lost(1)])
        await blocked(bus)
        async with asyncio.timeout(10):
            await bus._subscriptions[0].drain()
        assert bus._subscriptions[0].in_hand == 0
        await asyncio.to_thread(mortal_broker.alarm, "disk", on=False)
        async with asyncio.timeout(10):
            while await bus.depth(WORK) != 1:
                await asyncio.sleep(0.05)


async def blocked(bus: AmqpBus) -> None:
    async with asyncio.timeout(10):
        while await bus._out.taking():
            await asyncio.sleep(0.05)
    with pytest.raises(BusUnavailable, match="memory or disk"):
        await bus.ping()
