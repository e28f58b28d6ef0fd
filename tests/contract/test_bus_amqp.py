"""What only a real broker can do to the bus: go away, come back, refuse, forget a consumer."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aio_pika import Message

from archloop.bus.amqp import AmqpBus, BrokerRefused
from archloop.bus.amqp.subscription import AmqpSubscription
from archloop.bus.consumer import Consumer
from archloop.bus.port import BusUnavailable
from archloop.contracts.envelope import Envelope
from archloop.contracts.topology import Queue, adapter_queue
from archloop.errors import InvalidInput, Misconfigured, NotFound
from tests.contract.test_bus import WORK, Bytes, Recording, envelope, lost, parked_in, scrubbed, until
from tests.servers.process import free_ports
from tests.servers.rabbitmq import RabbitMQ

# RabbitMQ 3.10 forgets the leader of a quorum queue that was declared in the instant before a SIGKILL.
SETTLED_S = 3.0
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def bus(broker_url: str) -> AsyncIterator[AmqpBus]:
    bus = AmqpBus(broker_url, "test", timeout_s=5)
    yield bus
    await scrubbed(bus)
    await bus.close()


async def test_a_message_that_no_queue_wants_is_an_error_not_a_loss(bus: AmqpBus) -> None:
    await bus.declare(Queue("deaf", ("no.such.key",), prefetch=1))
    with pytest.raises(BusUnavailable, match="NO_ROUTE"):
        await bus.publish(envelope(1))


async def test_the_same_message_twice_at_once_that_no_queue_wants_is_an_error_both_times(bus: AmqpBus) -> None:
    await bus.declare(Queue("deaf", ("no.such.key",), prefetch=1))
    said = await asyncio.gather(*[bus.publish(envelope(1)) for _ in range(5)], return_exceptions=True)
    assert ["NO_ROUTE" in str(each) for each in said] == [True] * 5


async def test_tracers_find_the_trace_context_in_a_header(bus: AmqpBus) -> None:
    await bus.declare(WORK)
    await bus.publish(envelope(1))
    async with bus._out.briefly() as channel:
        queue = await channel.get_queue(WORK.name)
        message = await queue.get(no_ack=True)
    assert message.headers["traceparent"] == envelope(1).traceparent


async def test_a_consumer_whose_queue_was_deleted_subscribes_again(bus: AmqpBus) -> None:
    handler = Recording()
    subscription = await Consumer(bus, WORK, handler, "test").start()
    channel = await bus._out.channel()
    await channel.queue_delete(WORK.name)
    await until(lambda: not subscription.alive)
    await until(lambda: subscription.alive)
    await bus.publish(envelope(1))
    await until(lambda: handler.seen == [lost(1)])


async def test_a_message_that_kills_every_consumer_is_parked_by_the_broker(bus: AmqpBus) -> None:
    async def callback(delivery) -> None:
        await delivery.message.nack(requeue=True)

    await bus.declare(WORK)
    await bus.publish(envelope(1))
    await bus.subscribe(WORK, callback)
    (parked,) = await parked_in(bus)
    assert (parked.queue, Envelope.parse(parked.body).message()) == ("work", lost(1))
    assert "delivery_limit" in parked.reason
    await bus.replay(parked.id)


async def test_different_messages_under_one_id_are_all_handled(bus: AmqpBus) -> None:
    gate = asyncio.Event()
    handler = Recording(block=gate)
    await Consumer(bus, WORK, handler, "test").start()
    for index in range(3):
        await bus.publish(envelope(index).model_copy(update={"id": "same"}))
    await until(lambda: handler.started == 3)
    gate.set()
    await until(lambda: sorted(m.index for m in handler.seen) == [0, 1, 2])


async def test_a_message_that_comes_again_in_the_moment_that_it_is_done_is_acknowledged_too() -> None:
    message, again = Bytes(b"x"), Bytes(b"x")

    async def handle(delivery) -> None:
        asyncio.get_running_loop().create_task(subscription._on_message(again))
        await delivery.ack()

    subscription = AmqpSubscription(None, WORK, handle, None, None)
    await subscription._on_message(message)
    await until(lambda: again.acked)
    assert (message.acked, subscription.in_hand) == (True, 0)


async def test_listing_parked_messages_many_times_loses_none(bus: AmqpBus) -> None:
    await bus.declare(WORK)
    await Consumer(bus, WORK, Recording(), "test").on_delivery(Bytes(b"\xff"))
    for _ in range(30):
        assert len(await bus.parked()) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-death": [1, 2]},
        {"x-death": [{"count": "many", "time": 3}]},
        {"x-archloop-id": "a"},
        {f"x-archloop-{name}": "2026-01-01" for name in ("id", "queue", "reason", "stack", "attempt", "first-failed")},
        dict.fromkeys(("x-archloop-id", "x-archloop-queue", "x-archloop-reason", "x-archloop-stack"), "work")
        | {"x-archloop-attempt": "1", "x-archloop-first-failed": "2026-01-01"},
    ],
)
async def test_what_somebody_put_among_the_parked_with_any_headers_is_listed_and_can_be_replayed(
    bus: AmqpBus, headers: dict[str, object]
) -> None:
    handler = Recording()
    await Consumer(bus, WORK, handler, "test").start()
    async with bus._out.briefly() as channel:
        message = Message(envelope(1).encode(), headers=headers)
        await channel.default_exchange.publish(message, WORK.parked_name)
    (parked,) = await parked_in(bus)
    assert parked.queue == WORK.name
    await bus.replay(parked.id)
    await until(lambda: handler.seen == [lost(1)])
    assert await bus.parked() == []


async def test_several_are_replayed_at_once_and_one_that_is_not_there_is_named(bus: AmqpBus) -> None:
    handler = Recording(*[InvalidInput("x", 1, "2")] * 3)
    await Consumer(bus, WORK, handler, "test").start()
    for index in range(3):
        await bus.publish(envelope(index))
    await until(lambda: len(handler.seen) == 3)
    async with asyncio.timeout(5):
        while len(parked := await bus.parked()) < 3:
            await asyncio.sleep(0.01)
    with pytest.raises(NotFound, match="nobody"):
        await bus.replay("nobody", *(each.id for each in parked))
    await until(lambda: len(handler.seen) == 6)
    assert await bus.parked() == []


async def test_other_arguments_of_a_queue_are_named_and_not_fought(bus: AmqpBus) -> None:
    channel = await bus._out.channel()
    await channel.declare_queue("work", durable=True)
    with pytest.raises(BrokerRefused, match="work"):
        await bus.declare(WORK)
    await (await bus._out.channel()).queue_delete("work")


async def test_the_password_is_in_no_error(broker_url: str) -> None:
    wrong = AmqpBus(broker_url.replace(":secret@", ":wr0ng@"), "test")
    with pytest.raises(BrokerRefused) as refused:
        await wrong.connect()
    assert "wr0ng" not in str(refused.value)
    assert "test:***@127.0.0.1" in str(refused.value)


async def test_a_virtual_host_that_is_not_there_is_refused_by_name(broker_url: str) -> None:
    with pytest.raises(BrokerRefused, match="nowhere"):
        await AmqpBus(broker_url + "nowhere", "test").connect()


async def test_a_broker_that_is_away_is_named() -> None:
    (port,) = free_ports(1)
    with pytest.raises(BusUnavailable, match=r"broker_url: amqp://a:\*\*\*@127\.0\.0\.1"):
        await AmqpBus(f"amqp://a:b@127.0.0.1:{port}/", "test").connect()


@pytest.mark.parametrize(
    "url", ["http://broker", "amqp://", "amqp://a:5#hunter2@broker/", "amqp://a:5/hunter2@broker/", "amqp://a:hunter2"]
)
def test_a_url_that_is_none_says_what_would_be_right_and_shows_no_password(url: str) -> None:
    with pytest.raises(Misconfigured, match=r"broker_url: .*amqp://user:password@host:5672/vhost") as raised:
        AmqpBus(url, "test")
    assert "hunter2" not in str(raised.value)


async def test_a_replica_hears_what_was_announced_while_it_was_away(bus: AmqpBus) -> None:
    queue = adapter_queue("replica-1")
    bound = Queue(queue.name, ("candidate.lost",), prefetch=1, expires=True)
    handler = Recording()
    subscription = await Consumer(bus, bound, handler, "test").start()
    await subscription.drain()
    await bus.publish(envelope(1))
    await Consumer(bus, bound, handler, "test").start()
    await until(lambda: handler.seen == [lost(1)])


async def test_after_the_broker_came_back_messages_flow_in_both_directions(mortal_broker: RabbitMQ) -> None:
    bus = AmqpBus(mortal_broker.url, "test", timeout_s=5)
    handler = Recording()
    try:
        await bus.declare(WORK)
        await bus.publish(envelope(1))
        await asyncio.sleep(SETTLED_S)
        await asyncio.to_thread(mortal_broker.kill)
        with pytest.raises(BusUnavailable):
            await bus.publish(envelope(2))
        with pytest.raises(BusUnavailable):
            await bus.ping()
        mortal_broker.start()
        await asyncio.to_thread(mortal_broker.wait)
        await Consumer(bus, WORK, handler, "test").start()
        await until(lambda: handler.seen == [lost(1)], 10)
        await bus.ping()
    finally:
        await bus.close()


async def test_a_consumer_survives_the_broker_and_work_in_hand_is_done_once(mortal_broker: RabbitMQ) -> None:
    bus = AmqpBus(mortal_broker.url, "test", timeout_s=5)
    gate = asyncio.Event()
    handler = Recording(block=gate)
    queue = Queue("survivor", ("candidate.lost",), prefetch=1)
    try:
        subscription = await Consumer(bus, queue, handler, "test").start()
        await bus.publish(envelope(5))
        await until(lambda: handler.started == 1)
        await asyncio.sleep(SETTLED_S)
        await asyncio.to_thread(mortal_broker.kill)
        await until(lambda: not subscription.alive, 10)
        mortal_broker.start()
        await asyncio.to_thread(mortal_broker.wait)
        await until(lambda: subscription.alive, 20)
        await until(lambda: subscription.in_hand == 2)  # the broker sent it again while it was still being handled
        gate.set()
        await until(lambda: len(handler.seen) == 1)
        await asyncio.sleep(1)
        assert (handler.started, await bus.depth(queue)) == (1, 0)
    finally:
        await bus.close()


STALLED = """
P = whereis(binary_to_atom(<<"{vhost}_{queue}">>)), sys:suspend(P),
spawn(fun() -> timer:sleep({ms}), sys:resume(P) end).
"""


async def stalled(broker: RabbitMQ, queue: Queue, ms: int) -> None:
    """Let the queue's leader answer nothing for this long, as on a machine that is short of processor or disk."""
    await asyncio.to_thread(broker.control, "eval", STALLED.format(vhost=broker.vhost, queue=queue.name, ms=ms))


async def plainly_counted(bus: AmqpBus, queue: Queue) -> tuple[int, int]:
    async with bus._aside.briefly() as channel:
        told = (await channel.declare_queue(queue.name, passive=True)).declaration_result
    return told.message_count, told.consumer_count


async def test_messages_are_counted_though_the_queue_s_leader_stalls_for_a_moment(mortal_broker: RabbitMQ) -> None:
    bus, queue = AmqpBus(mortal_broker.url, "test", timeout_s=5), Queue("slow", ("candidate.lost",), prefetch=1)
    try:
        await bus.declare(queue)
        for number in range(3):
            await bus.publish(envelope(number))
        await stalled(mortal_broker, queue, 1200)
        assert await plainly_counted(bus, queue) == (0, 0), "the broker told the truth: nothing was tried"
        assert (await bus.depth(queue), await bus.ready(queue)) == (3, 3)
    finally:
        await bus.close()


async def test_a_broker_that_cannot_tell_is_not_taken_to_have_nothing(mortal_broker: RabbitMQ) -> None:
    bus, queue = AmqpBus(mortal_broker.url, "test", timeout_s=5), Queue("slower", ("candidate.lost",), prefetch=1)
    handler = Recording(block=asyncio.Event())
    try:
        await Consumer(bus, queue, handler, "test").start()
        await bus.publish(envelope(1))
        await until(lambda: handler.started == 1)
        assert await bus.depth(queue) == 1
        await stalled(mortal_broker, queue, 6000)
        with pytest.raises(BusUnavailable, match="cannot tell how many messages wait in slower"):
            await bus.depth(queue)
    finally:
        await bus.close()
