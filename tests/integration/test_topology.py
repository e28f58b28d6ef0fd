"""Whatever is deleted on a broker is made again by the services that run, and told of meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel

from archloop.bus.amqp import AmqpBus, declaring
from archloop.bus.consumer import Consumer
from archloop.bus.port import BusUnavailable, Gone
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import CandidateLost, RunFinished
from archloop.contracts.topology import ENDS, EVALUATOR, EXCHANGE, NOVELTY, QUEUES, REGISTRY, Queue
from archloop.ops.presence import Presence
from services.registry.counting import Counts
from tests.contract.test_bus import Recording, until
from tests.servers.rabbitmq import RabbitMQ

pytestmark = [pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]
Deletion = Callable[[AbstractChannel], Awaitable[object]]
LOST = CandidateLost(run_id="r", index=1, step="evaluation", asked=3)
ENDED = RunFinished(run_id="r", reason="completed")
DELAY = f"{EVALUATOR.name}.retry.5000"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(mortal_broker: RabbitMQ) -> AsyncIterator[AmqpBus]:
    """Of a service that looks after its queues every half second."""
    confirm_ms = "dead_letter_worker_publisher_confirm_timeout, 1000"
    await asyncio.to_thread(mortal_broker.control, "eval", f"application:set_env(rabbit, {confirm_ms}).")
    bus = AmqpBus(mortal_broker.url, "test")
    bus._topology._look_s = 0.1
    await bus.connect()
    await bus._topology.delay(EVALUATOR, 5000)
    yield bus
    await bus.close()


async def there(bus: AmqpBus, name: str) -> bool:
    try:
        async with bus._aside.briefly() as channel:
            await (channel.get_exchange(name) if name == EXCHANGE else channel.get_queue(name))
    except Gone:
        return False
    return True


async def heals(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "name",
    [EXCHANGE, DELAY, ENDS.name, *(queue.name for queue in QUEUES), *(queue.parked_name for queue in QUEUES)],
)
async def test_what_is_deleted_is_told_of_and_made_again(bus: AmqpBus, name: str) -> None:
    await bus._topology.stop()
    async with bus._aside.briefly() as channel:
        await (channel.exchange_delete(name) if name == EXCHANGE else channel.queue_delete(name))
    assert not await there(bus, name)
    await asyncio.sleep(0.5)
    with pytest.raises(Gone, match=f"no (queue|exchange) '{name}'"):
        await bus.ping()
    async with bus._aside.briefly() as channel:
        await (channel.exchange_delete(name) if name == EXCHANGE else channel.queue_delete(name))
    bus._topology.start()
    await heals(lambda: there(bus, name))
    await heals(lambda: pings(bus))


@pytest.mark.parametrize(
    ("queue", "pattern", "message"),
    [
        (REGISTRY.name, "#", LOST),
        (NOVELTY.name, "candidate.lost", LOST),
        (ENDS.name, "run.finished", ENDED),
        (REGISTRY.name, "#", ENDED),
    ],
)
async def test_a_binding_that_is_taken_away_is_made_again(
    bus: AmqpBus, queue: str, pattern: str, message: CandidateLost | RunFinished
) -> None:
    await bus._topology.stop()
    async with bus._aside.briefly() as channel:
        bound = await channel.get_queue(queue)
        await bound.unbind(EXCHANGE, pattern)
    heard: list[bytes] = []
    if queue == ENDS.name:
        await bus.follow(ENDS, heard.append)
    before = len(heard) or await counted(bus, queue)
    bus._topology.start()

    async def reaches() -> bool:
        await bus.publish(Envelope.of(message, source="test"))
        return (len(heard) or await counted(bus, queue)) > before

    await heals(reaches)


async def counted(bus: AmqpBus, name: str) -> int:
    return 0 if name == ENDS.name else (await declaring.counted(bus._aside, name))[0]


async def test_after_the_exchange_was_deleted_what_is_said_is_heard_again(bus: AmqpBus) -> None:
    handler = Recording(answers=[ENDED])
    await emptied(bus, NOVELTY, REGISTRY)
    subscription = await Consumer(bus, NOVELTY, handler, "novelty").start()
    async with bus._aside.briefly() as channel:
        await channel.exchange_delete(EXCHANGE)
    await heals(lambda: there(bus, EXCHANGE))
    await heals(lambda: said(bus))
    await until(lambda: LOST in handler.seen)
    await subscription.drain()


async def said(bus: AmqpBus) -> bool:
    try:
        await bus.publish(Envelope.of(LOST, source="test"))
    except BusUnavailable:
        return False
    return True


async def emptied(bus: AmqpBus, *queues: Queue) -> None:
    async with bus._aside.briefly() as channel:
        for queue in queues:
            await (await channel.get_queue(queue.name)).purge()


async def test_one_that_cannot_be_mended_is_told_of_and_the_others_are_mended(bus: AmqpBus) -> None:
    odd, other = EVALUATOR.parked_name, NOVELTY.parked_name
    await bus._topology.stop()
    async with bus._aside.briefly() as channel:
        await channel.queue_delete(odd)
        await channel.declare_queue(odd, durable=True)  # a classic one
        await channel.queue_delete(other)
    bus._topology.start()
    await heals(lambda: there(bus, other))
    await asyncio.sleep(1)
    with pytest.raises(Gone, match=f"other arguments.*{odd}"):
        await bus.ping()
    async with bus._aside.briefly() as channel:
        await channel.queue_delete(odd)
    await heals(lambda: pings(bus))


async def pings(bus: AmqpBus) -> bool:
    try:
        await bus.ping()
    except Gone:
        return False
    return True


async def test_queues_that_are_gone_are_named_and_the_others_are_counted(bus: AmqpBus) -> None:
    counts, gone = Counts(), [EVALUATOR.parked_name, NOVELTY.name]
    await bus._topology.stop()
    async with bus._aside.briefly() as channel:
        for name in gone:
            await channel.queue_delete(name)
    await counts.take(bus)
    by_name = {count.queue: count for count in counts.latest}
    assert [name for count in counts.latest for name in count.missing] == gone
    assert (by_name["evaluator"].parked, by_name["novelty"].waiting) == (None, None)
    others = [n for c in counts.latest for n in (c.waiting, c.parked)]
    assert sum(number is not None for number in others) == 2 * len(QUEUES) - len(gone)
    assert (by_name["novelty"].consumers, by_name["evaluator"].consumers) == (None, 0)
    bus._topology.start()
    await heals(lambda: there(bus, gone[0]))
    await heals(lambda: there(bus, gone[1]))
    await counts.take(bus)
    assert [count.missing for count in counts.latest] == [()] * len(QUEUES)


def presence(process: int, queue: str, held: int) -> bytes:
    told = Presence(service=queue, host="elsewhere", process=process, version="1", in_hand={queue: held})
    return told.model_dump_json().encode()


async def test_what_processes_elsewhere_have_in_hand_is_counted_also_after_a_connection_was_lost(
    bus: AmqpBus, mortal_broker: RabbitMQ
) -> None:
    counts, other = Counts(), AmqpBus(mortal_broker.url, "other")
    await bus.listen(counts.roster.hear)
    await other.signal(presence(1, "evaluator", 1))
    await other.signal(presence(2, "evaluator", 1))
    await until(lambda: len(counts.roster.present()) == 2)
    await counts.take(bus)
    assert {count.queue: count.in_hand for count in counts.latest}["evaluator"] == 2
    assert [each.service for each in counts.services] == ["registry", "evaluator", "evaluator"]
    assert bus._in._connection is not None
    await bus._in._connection.close()

    async def heard() -> bool:
        await other.signal(presence(3, "trainer", 1))
        return any(each.process == 3 for each in counts.roster.present())

    await heals(heard)
    await other.close()


async def any_parked(bus: AmqpBus) -> bool:
    return await bus.parked() != []


async def test_what_was_to_be_set_aside_while_there_was_no_place_for_it_is_so_in_the_end(bus: AmqpBus) -> None:
    async def refuse(delivery) -> None:
        await delivery.message.nack(requeue=True)

    await bus._topology.stop()
    await emptied(bus, NOVELTY)
    async with bus._aside.briefly() as channel:
        await channel.queue_delete(NOVELTY.parked_name)
    subscription = await bus.subscribe(NOVELTY, refuse)
    await bus.publish(Envelope.of(LOST, source="test"))
    await asyncio.sleep(1)
    assert await bus.parked() == []
    assert not await there(bus, NOVELTY.parked_name)
    bus._topology.start()
    await heals(lambda: any_parked(bus))
    assert [Envelope.parse(parked.body).message() for parked in await bus.parked()] == [LOST]
    await subscription.drain()
