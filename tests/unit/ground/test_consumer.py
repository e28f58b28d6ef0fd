"""How a delivery ends: what is published, counted, logged and set aside, on a bus that only writes down."""

import asyncio
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from archloop.bus import consumer as module
from archloop.bus.consumer import Consumer, RetryPolicy
from archloop.bus.port import BusUnavailable
from archloop.contracts.base import Message
from archloop.contracts.envelope import Envelope, MalformedMessage
from archloop.contracts.topology import Queue
from archloop.errors import InvalidInput, Unavailable
from tests.unit.ground.consuming import ANSWER, ASKED, LOST, Delivery, Handler, WritingBus

FAST = RetryPolicy((0.5, 7.0))


def made(bus: WritingBus, queue: str, handler: Handler, **fields: Any) -> Consumer:
    return Consumer(bus, Queue(queue, ("#",), prefetch=1), handler, "worker", FAST, **fields)


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def at_attempt(attempt: int) -> bytes:
    return ASKED.model_copy(update={"attempt": attempt}).encode()


MISTAKE, AWAY, WRONG = RuntimeError("a mistake"), Unavailable("the store is away"), InvalidInput("x", 1, "2")
ENDS = [
    ("handled", ASKED.encode(), None, "handled"),
    ("retried", ASKED.encode(), AWAY, "handling failed, will retry"),
    ("retried", at_attempt(2), MISTAKE, "handling failed, will retry"),
    ("parked", at_attempt(3), AWAY, "message parked"),
    ("parked", ASKED.encode(), WRONG, "message parked"),
    ("parked", b"not json", None, "message parked"),
    ("parked", ASKED.model_copy(update={"type": "archloop.unknown.v1"}).encode(), None, "message parked"),
]


@pytest.mark.parametrize(("end", "body", "raised", "event"), ENDS)
async def test_each_end_is_counted_logged_and_acknowledged(end, body, raised, event, request) -> None:
    bus, delivery, queue = WritingBus(), Delivery(body), request.node.name
    with capture_logs() as logs:
        await made(bus, queue, Handler(raised)).on_delivery(delivery)
    assert (delivery.acked, delivery.released) == (1, 0)
    assert counted("archloop_deliveries_total", queue=queue, end=end) == 1
    assert counted("archloop_handling_seconds_count", queue=queue) == 1
    assert [len(bus.published), len(bus.retried), len(bus.parkings)] == [
        int(end == each) for each in ("handled", "retried", "parked")
    ]
    (log,) = [each for each in logs if each["log_level"] != "debug"]
    assert log["event"] == event


@pytest.mark.parametrize("attempt", [1, 2])
async def test_a_retry_is_the_next_attempt_after_its_own_delay_and_says_the_cause(attempt: int) -> None:
    bus = WritingBus()
    with capture_logs() as logs:
        await made(bus, "q", Handler(AWAY)).on_delivery(Delivery(at_attempt(attempt)))
    assert bus.retried == [("q", attempt + 1, FAST.delays_s[attempt - 1])]
    (log,) = logs
    assert (log["delay_s"], log["error"], log["exc_info"]) == (FAST.delays_s[attempt - 1], str(AWAY), False)


async def test_the_trace_of_an_error_that_nobody_foresaw_is_logged() -> None:
    with capture_logs() as logs:
        await made(WritingBus(), "q", Handler(MISTAKE)).on_delivery(Delivery())
    assert logs[0]["exc_info"]


@pytest.mark.parametrize(
    ("body", "raised", "reason", "attempt"),
    [
        (b"not json", None, "malformed_message: not a CloudEvents envelope", 1),
        (at_attempt(2), WRONG, "invalid_input: x: 1 is not valid; expected 2", 2),
        (at_attempt(3), AWAY, "unavailable: the store is away", 3),
        (at_attempt(9), MISTAKE, "RuntimeError: a mistake", 9),
        (at_attempt(3), KeyError("k"), "KeyError: 'k'", 3),
    ],
)
async def test_what_is_set_aside_says_why_and_keeps_its_bytes(body, raised, reason, attempt) -> None:
    bus = WritingBus()
    with capture_logs() as logs:
        await made(bus, "q", Handler(raised)).on_delivery(Delivery(body))
        await made(bus, "q", Handler(raised)).on_delivery(Delivery(body))
        await made(bus, "p", Handler(raised)).on_delivery(Delivery(body))
    first, again, elsewhere = bus.parkings
    assert first.reason.startswith(reason)
    assert (first.queue, first.attempt, first.body) == ("q", attempt, body)
    assert (raised or MalformedMessage()).__class__.__name__ in first.stack
    assert '\n  File "' in first.stack, "as Python prints it"
    assert first.id == again.id != elsewhere.id
    assert (logs[0]["queue"], logs[0]["log_level"]) == ("q", "error")
    assert logs[0]["reason"] in first.reason


async def test_results_are_published_counted_and_answer_the_message() -> None:
    bus, before = WritingBus(), counted("archloop_published_total", type="run.finished")
    with capture_logs() as logs:
        await made(bus, "q", Handler()).on_delivery(Delivery())
    (said,) = bus.published
    assert (said.message(), said.causationid, said.source) == (ANSWER, ASKED.id, "/archloop/worker")
    assert counted("archloop_published_total", type="run.finished") == before + 1
    assert (logs[0]["service"], logs[0]["results"]) == ("worker", ["run.finished"])


async def test_a_handlers_log_lines_name_message_run_candidate_and_attempt() -> None:
    handler = Handler()
    await made(WritingBus(), "q", handler).on_delivery(Delivery(at_attempt(2)))
    named = {"run_id": "r", "message_id": ASKED.id, "type": LOST.type, "attempt": 2, "candidate_id": LOST.candidate_id}
    assert handler.bound | named == handler.bound
    assert handler.bound["trace_id"] in ASKED.traceparent


@pytest.mark.parametrize(
    ("over", "replayed", "end"), [(1, None, "dropped"), (0, None, "handled"), (1, True, "handled")]
)
async def test_messages_of_runs_that_are_over_are_dropped_unless_somebody_replays_them(over, replayed, end) -> None:
    bus, handler, queue = WritingBus(), Handler(), f"over-{over}-{replayed}"
    body = ASKED.model_copy(update={"replayed": replayed}).encode()
    with capture_logs() as logs:
        await made(bus, queue, handler, over=lambda _: bool(over)).on_delivery(Delivery(body))
    assert counted("archloop_deliveries_total", queue=queue, end=end) == 1
    assert len(handler.seen) == len(bus.published) == int(end == "handled")
    assert (logs[0]["event"], logs[0]["service"]) == (
        "dropped: its run is over" if end == "dropped" else "handled",
        "worker",
    )


async def test_what_is_not_acknowledged_is_not_handled_again_when_it_returns() -> None:
    bus, handler = WritingBus(), Handler()
    consumer = made(bus, "unacknowledged", handler)
    first, again = Delivery(taken=False), Delivery()
    await consumer.on_delivery(first)
    await consumer.on_delivery(again)
    await consumer.on_delivery(Delivery())
    assert (len(handler.seen), len(bus.published)) == (2, 2)
    assert (first.released, again.released, again.acked) == (0, 0, 1)
    assert counted("archloop_deliveries_total", queue="unacknowledged", end="handled") == 3


async def test_a_delivery_lost_before_all_was_said_is_given_back_and_said_when_it_returns(monkeypatch) -> None:
    bus, handler = WritingBus(), Handler()
    consumer = made(bus, "given-back", handler)
    publish = bus.publish

    async def never(_: Envelope) -> None:
        await asyncio.Event().wait()

    class Gone(Delivery):
        async def lost(self) -> None:
            return

    monkeypatch.setattr(bus, "publish", never)
    gone = Gone()
    await consumer.on_delivery(gone)
    assert (gone.acked, gone.released, bus.published) == (0, 1, [])
    monkeypatch.setattr(bus, "publish", publish)
    await consumer.on_delivery(Delivery())
    assert (len(handler.seen), len(bus.published)) == (1, 1)
    assert counted("archloop_deliveries_total", queue="given-back", end="released") == 1


async def test_a_mistake_of_the_loops_own_gives_the_message_back_and_is_logged() -> None:
    delivery = Delivery()

    def over(_: Message) -> bool:
        raise RuntimeError("unforeseen")

    with capture_logs() as logs:
        await made(WritingBus(), "mistaken", Handler(), over=over).on_delivery(delivery)
    assert (delivery.acked, delivery.released) == (0, 1)
    assert logs == [
        {
            "event": "delivery given back",
            "log_level": "error",
            "queue": "mistaken",
            "error": "RuntimeError('unforeseen')",
        }
    ]


@pytest.mark.parametrize(
    ("delays", "attempt", "delay"),
    [((), 1, None), ((5.0,), 1, 5.0), ((5.0,), 2, None), ((1.0, 2.0, 3.0), 3, 3.0), ((1.0, 2.0, 3.0), 4, None)],
)
def test_after_the_last_delay_there_is_no_further_attempt(delays, attempt, delay) -> None:
    assert RetryPolicy(delays).delay(attempt) == delay


def test_by_default_each_delay_is_waited_twice_and_they_grow() -> None:
    delays = RetryPolicy().delays_s
    assert delays[::2] == delays[1::2] == tuple(sorted(set(delays))) == (5.0, 30.0, 300.0)


async def test_who_speaks_unasked_names_the_cause_if_there_is_one() -> None:
    bus = WritingBus()
    consumer = made(bus, "q", Handler())
    await consumer.emit([ANSWER, LOST])
    await consumer.emit([ANSWER], ASKED)
    assert [e.causationid for e in bus.published] == [None, None, ASKED.id]
    await consumer.say(ASKED)
    assert bus.published[-1] == ASKED


async def test_a_caller_who_waits_is_told_when_the_broker_takes_nothing(monkeypatch) -> None:
    bus = WritingBus()

    async def never(_: Envelope) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(bus, "publish", never)
    monkeypatch.setattr(module, "_CONFIRMED_S", 0.01)
    with pytest.raises(BusUnavailable, match=r"^the broker took nothing in time: it may be short of memory or disk$"):
        await made(bus, "q", Handler()).say(ASKED)
