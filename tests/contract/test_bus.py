"""What every Bus adapter must do; each adapter runs the same suite."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import structlog

from archloop.bus.amqp import AmqpBus
from archloop.bus.consumer import Consumer, RetryPolicy
from archloop.bus.memory import MemoryBus
from archloop.bus.one_message import OneMessage
from archloop.bus.port import Bus, BusUnavailable, Parked
from archloop.contracts.base import Message
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import CandidateLost, RunFinished
from archloop.contracts.topology import Queue
from archloop.contracts.trace import trace_id
from archloop.errors import InvalidInput, NotFound, Unavailable

WORK = Queue("work", ("candidate.lost",), prefetch=3)
EVERYTHING = Queue("everything", ("#",), prefetch=10)
FAST = RetryPolicy(delays_s=(0.01, 0.01))


@pytest.fixture(params=["memory", "amqp"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    bus = MemoryBus() if request.param == "memory" else AmqpBus(request.getfixturevalue("broker_url"), "test")
    yield bus
    if isinstance(bus, AmqpBus):
        await scrubbed(bus)
    await bus.close()


async def scrubbed(bus: AmqpBus) -> None:
    """The broker outlives the test: delete what it declared."""
    for subscription in bus._subscriptions:
        await subscription.abandon()
    channel = await bus._out.channel()
    for queue in bus._queues.values():
        for name in (queue.name, queue.parked_name, f"{queue.name}.retry.10"):
            await channel.queue_delete(name)


def lost(index: int) -> CandidateLost:
    return CandidateLost(run_id="r", cycle=0, index=index, step="evaluation", asked=3)


def envelope(index: int) -> Envelope:
    return Envelope.of(lost(index), source="test")


async def until(condition, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def parked_in(bus: Bus) -> list[Parked]:
    """What is parked, once something is."""
    async with asyncio.timeout(5):
        while not (parked := await bus.parked()):
            await asyncio.sleep(0.01)
    return parked


class Recording:
    """A handler that remembers, and answers or raises as told."""

    def __init__(self, *raises: Exception, answers: Sequence[Message] = (), block: asyncio.Event | None = None) -> None:
        self.raises, self.answers, self.block = list(raises), answers, block
        self.seen: list[Message] = []
        self.started = 0

    async def handle(self, message: Message) -> Sequence[Message]:
        self.started += 1
        if self.block is not None:
            await self.block.wait()
        self.seen.append(message)
        if self.raises:
            raise self.raises.pop(0)
        return self.answers


class Bytes:
    """A delivery from nowhere."""

    def __init__(self, body: bytes) -> None:
        self.body, self.acked = body, False
        self.channel, self.headers = SimpleNamespace(is_closed=False), {}

    async def ack(self) -> bool:
        self.acked = True
        return True

    async def release(self) -> None:
        raise AssertionError

    async def lost(self) -> None:
        await asyncio.Event().wait()


async def test_a_message_reaches_every_queue_bound_to_its_key_and_no_other(bus: Bus) -> None:
    work, everything = Recording(), Recording()
    await Consumer(bus, WORK, work, "test").start()
    await Consumer(bus, EVERYTHING, everything, "test").start()
    await bus.publish(envelope(1))
    await bus.publish(Envelope.of(RunFinished(run_id="r", reason="complete"), source="test"))
    await until(lambda: len(everything.seen) == 2)
    assert work.seen == [lost(1)]


async def test_messages_wait_in_a_declared_queue_until_somebody_consumes(bus: Bus) -> None:
    await bus.declare(WORK)
    await bus.publish(envelope(1))
    handler = Recording()
    await Consumer(bus, WORK, handler, "test").start()
    await until(lambda: handler.seen == [lost(1)])


async def test_results_are_published_with_the_cause(bus: Bus) -> None:
    bodies: list[Envelope] = []

    async def callback(delivery) -> None:
        bodies.append(Envelope.parse(delivery.body))
        await delivery.ack()

    await bus.declare(EVERYTHING)
    await bus.subscribe(EVERYTHING, callback)
    await Consumer(bus, WORK, Recording(answers=[RunFinished(run_id="r", reason="x")]), "worker").start()
    cause = envelope(1)
    await bus.publish(cause)
    await until(lambda: len(bodies) == 2)
    result = next(b for b in bodies if b.routing_key == "run.finished")
    assert (result.causationid, result.source) == (cause.id, "/archloop/worker")
    assert trace_id(result.traceparent) == trace_id(cause.traceparent)


async def test_a_handlers_log_tells_message_and_trace(bus: Bus) -> None:
    bound: list[dict[str, object]] = []

    class Logging(Recording):
        async def handle(self, message: Message) -> Sequence[Message]:
            bound.append(structlog.contextvars.get_contextvars())
            return await super().handle(message)

    handler = Logging()
    await Consumer(bus, WORK, handler, "test").start()
    await bus.publish(envelope(1))
    await until(lambda: handler.seen != [])
    assert bound[0]["message_id"] == envelope(1).id
    assert bound[0]["trace_id"] == trace_id(envelope(1).traceparent)


async def test_no_more_than_prefetch_messages_are_in_hand(bus: Bus) -> None:
    gate = asyncio.Event()
    handler = Recording(block=gate)
    await Consumer(bus, WORK, handler, "test").start()
    for index in range(8):
        await bus.publish(envelope(index))
    await until(lambda: handler.started == WORK.prefetch)
    await asyncio.sleep(0.05)
    assert handler.started == WORK.prefetch
    gate.set()
    await until(lambda: len(handler.seen) == 8)


async def test_each_consumer_has_the_prefetch_it_asks_for_whoever_declared_the_queue(bus: Bus) -> None:
    gate = asyncio.Event()
    handler = Recording(block=gate)
    await bus.declare(WORK)
    await Consumer(bus, replace(WORK, prefetch=5), handler, "test").start()
    for index in range(8):
        await bus.publish(envelope(index))
    await until(lambda: handler.started == 5)
    gate.set()
    await until(lambda: len(handler.seen) == 8)


async def test_a_transient_error_is_retried_and_then_succeeds(bus: Bus) -> None:
    handler = Recording(Unavailable("store down"), Unavailable("store down"))
    await Consumer(bus, WORK, handler, "test", FAST).start()
    await bus.publish(envelope(1))
    await until(lambda: len(handler.seen) == 3)
    assert await bus.parked() == []


async def test_a_transient_error_that_stays_is_parked_after_the_last_attempt(bus: Bus) -> None:
    handler = Recording(*[Unavailable("store down")] * 3)
    await Consumer(bus, WORK, handler, "test", FAST).start()
    await bus.publish(envelope(1))
    await until(lambda: len(handler.seen) == 3)
    (parked,) = await parked_in(bus)
    assert (parked.queue, parked.attempt, parked.reason) == ("work", 3, "unavailable: store down")
    assert "Unavailable" in parked.stack


async def test_a_permanent_error_is_parked_at_once(bus: Bus) -> None:
    handler = Recording(InvalidInput("protocol", "nope", "one of shapes"))
    await Consumer(bus, WORK, handler, "test", FAST).start()
    await bus.publish(envelope(1))
    await until(lambda: handler.seen != [])
    (parked,) = await parked_in(bus)
    assert parked.reason == "invalid_input: protocol: 'nope' is not valid; expected one of shapes"
    assert len(handler.seen) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": "archloop.candidate.vanished.v1"}, "archloop.candidate.vanished.v1"),
        ({"type": "archloop.candidate.lost.v9"}, "archloop.candidate.lost.v9"),
        ({"data": {"run_id": "r"}}, "step"),
    ],
)
async def test_an_unknown_type_version_or_shape_is_parked_and_names_the_thing(bus: Bus, change, reason) -> None:
    consumer = Consumer(bus, EVERYTHING, Recording(), "test")
    await consumer.start()
    await bus.publish(envelope(1).model_copy(update=change))
    (parked,) = await parked_in(bus)
    assert reason in parked.reason


async def test_bytes_that_are_no_envelope_are_parked_unchanged(bus: Bus) -> None:
    await bus.declare(WORK)
    delivery = Bytes(b"\xff\xfe not json")
    await Consumer(bus, WORK, Recording(), "test").on_delivery(delivery)
    (parked,) = await bus.parked("work")
    assert (parked.body, delivery.acked) == (b"\xff\xfe not json", True)


async def test_a_replayed_message_is_handled_as_on_its_first_attempt(bus: Bus) -> None:
    handler = Recording(InvalidInput("x", 1, "2"))
    await Consumer(bus, WORK, handler, "test", FAST).start()
    await bus.publish(envelope(1))
    await until(lambda: handler.seen != [])
    (parked,) = await parked_in(bus)
    await bus.replay(parked.id)
    await until(lambda: len(handler.seen) == 2)
    assert await bus.parked() == []


async def test_a_dropped_message_is_parked_no_more_and_never_handled(bus: Bus) -> None:
    handler = Recording()
    await Consumer(bus, WORK, handler, "test", FAST).start()
    for name in ("first", "second"):
        at = datetime(2026, 1, 1, tzinfo=UTC)
        await bus.park(Parked(id=name, queue="work", reason="x", first_failed=at, body=envelope(1).encode()))
    await bus.drop("first")
    assert [each.id for each in await bus.parked()] == ["second"]
    with pytest.raises(NotFound, match="first"):
        await bus.drop("first")
    await bus.drop("second")
    assert (await bus.parked(), await bus.depth(WORK), handler.seen) == ([], 0, [])


async def test_when_the_bus_cannot_take_the_results_the_message_is_delivered_again(bus: Bus) -> None:
    handler = Recording(BusUnavailable("broker away"))
    await Consumer(bus, WORK, handler, "test", FAST).start()
    await bus.publish(envelope(1))
    await until(lambda: len(handler.seen) == 2)
    assert await bus.parked() == []


async def test_a_message_is_parked_though_python_cannot_format_the_stack(bus: Bus, monkeypatch) -> None:
    def disturbed(_: object) -> list[str]:
        raise SystemError("AST constructor recursion depth mismatch")

    monkeypatch.setattr("traceback.format_exception", disturbed)
    await Consumer(bus, WORK, Recording(InvalidInput("x", 1, "2")), "test", FAST).start()
    await bus.publish(envelope(1))
    (parked,) = await parked_in(bus)
    assert "InvalidInput" in parked.stack


async def test_after_a_mistake_of_the_loops_own_the_message_is_delivered_again(bus: Bus, monkeypatch) -> None:
    mistakes = [RuntimeError("unforeseen")]
    settle = Consumer._settle

    async def once_mistaken(consumer, delivery):
        if mistakes:
            raise mistakes.pop()
        return await settle(consumer, delivery)

    monkeypatch.setattr(Consumer, "_settle", once_mistaken)
    handler = Recording()
    await Consumer(bus, WORK, handler, "test").start()
    await bus.publish(envelope(1))
    await until(lambda: handler.seen == [lost(1)])


async def test_a_single_active_queue_serves_one_consumer_until_it_leaves(bus: Bus) -> None:
    queue = Queue("ordered", ("candidate.lost",), prefetch=5, single_active=True)
    first, second = Recording(), Recording()
    subscription = await Consumer(bus, queue, first, "a").start()
    await Consumer(bus, queue, second, "b").start()
    for index in range(6):
        await bus.publish(envelope(index))
    await until(lambda: len(first.seen) == 6)
    assert second.seen == []
    await subscription.drain()
    await bus.publish(envelope(7))
    await until(lambda: second.seen == [lost(7)])


async def test_draining_finishes_what_is_in_hand_and_leaves_the_rest(bus: Bus) -> None:
    gate = asyncio.Event()
    handler = Recording(block=gate)
    subscription = await Consumer(bus, WORK, handler, "test").start()
    for index in range(5):
        await bus.publish(envelope(index))
    await until(lambda: handler.started == 3)
    draining = asyncio.ensure_future(subscription.drain())
    await asyncio.sleep(0)
    gate.set()
    await draining
    assert (len(handler.seen), subscription.alive) == (3, False)
    async with asyncio.timeout(5):  # a broker's count of what is ready may lag
        while await bus.depth(WORK) != 2:
            await asyncio.sleep(0.05)


async def test_what_is_abandoned_is_handled_by_another_and_no_further_by_who_had_it(bus: Bus) -> None:
    gate, first, second = asyncio.Event(), Recording(), Recording()
    first.block = gate
    subscription = await Consumer(bus, WORK, first, "test").start()
    for index in range(3):
        await bus.publish(envelope(index))
    await until(lambda: first.started == 3)
    await subscription.abandon()
    gate.set()
    if isinstance(bus, AmqpBus):  # the broker has them again once the connection is gone that they came by
        await bus._in.close()
    await Consumer(bus, WORK, second, "test").start()
    await until(lambda: len(second.seen) == 3, 20)
    assert (first.seen, subscription.alive) == ([], False)


async def test_one_who_came_for_one_message_leaves_the_next_to_others(bus: Bus) -> None:
    queue, first, second = replace(WORK, prefetch=1), Recording(), Recording()
    once = OneMessage(Consumer(bus, queue, first, "job").on_delivery, within_s=5)
    await bus.declare(queue)
    for index in range(2):
        await bus.publish(envelope(index))
    subscription = await bus.subscribe(queue, once)
    await once.over()
    await subscription.drain()
    await Consumer(bus, queue, second, "test").start()
    await until(lambda: len(second.seen) == 1)
    assert [*first.seen, *second.seen] == [lost(0), lost(1)]
    assert await bus.parked() == []


async def test_one_who_came_for_one_message_waits_until_it_is_done(bus: Bus) -> None:
    gate = asyncio.Event()
    handler = Recording(block=gate)
    consumer = Consumer(bus, WORK, handler, "job")
    once = OneMessage(consumer.on_delivery, within_s=0.2)
    await bus.declare(WORK)
    await bus.publish(envelope(1))
    await consumer.start(once)
    over = asyncio.ensure_future(once.over())
    await until(lambda: handler.started == 1)
    await asyncio.sleep(0.3)
    assert not over.done()
    gate.set()
    await over
    assert handler.seen == [lost(1)]


async def test_one_who_came_for_one_message_does_not_wait_for_ever(bus: Bus) -> None:
    once = OneMessage(Consumer(bus, WORK, Recording(), "job").on_delivery, within_s=0.1)
    await bus.declare(WORK)
    await bus.subscribe(WORK, once)
    async with asyncio.timeout(2):
        await once.over()


async def test_a_signal_reaches_all_who_listen_then_and_nobody_later(bus: Bus) -> None:
    await bus.signal(b"too early")
    heard: list[tuple[str, bytes]] = []
    await bus.listen(lambda body: heard.append(("one", body)))
    await bus.listen(lambda body: heard.append(("other", body)))
    await bus.signal(b"\x00 any bytes \xff")
    await until(lambda: len(heard) == 2)
    await bus.listen(lambda body: heard.append(("late", body)))
    await bus.signal(b"again")
    await until(lambda: len(heard) == 5)
    assert sorted(heard) == [
        ("late", b"again"),
        *((who, body) for who in ("one", "other") for body in (b"\x00 any bytes \xff", b"again")),
    ]


async def test_a_signal_is_no_message(bus: Bus) -> None:
    await bus.declare(EVERYTHING)
    await bus.listen(lambda _: None)
    await bus.signal(envelope(1).encode())
    await bus.publish(envelope(2))
    handler = Recording()
    await Consumer(bus, EVERYTHING, handler, "test").start()
    await until(lambda: handler.seen)
    assert [message.index for message in handler.seen] == [2]
