"""W3C trace context: https://www.w3.org/TR/trace-context/."""

import json
import re
from pathlib import Path

import pytest

from archloop.bus.consumer import Consumer
from archloop.bus.memory import MemoryBus
from archloop.contracts.envelope import Envelope, MalformedMessage
from archloop.contracts.messages import CandidateLost, CandidateSubmitted, RunFinished
from archloop.contracts.topology import Queue
from archloop.contracts.trace import trace_id
from tests.contract.test_bus import Bytes, Recording

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
THEIRS = f"00-{TRACE}-{PARENT}-01"
INVALID = [
    None,
    7,
    ["00"],
    "",
    f"00-{TRACE}-{PARENT}",
    f"00-{'0' * 32}-{PARENT}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"ff-{TRACE}-{PARENT}-01",
    f"00-{TRACE.upper()}-{PARENT}-01",
    f"00-{TRACE}-{PARENT}-01-more",
    f"01-{TRACE}-{PARENT}-01more",
    f"01-{TRACE}-{PARENT}-01-{'x' * 300_000}",
    f"00-{TRACE}-{PARENT}-01\n",
    f" {THEIRS}",
]


def foreign(**attributes: object) -> bytes:
    """A message as another system sends it: its own id, and no more than must be there."""
    sample = json.loads((Path(__file__).parent / "golden/candidate.submitted.v1.json").read_bytes())
    must = {name: sample[name] for name in ("specversion", "source", "type", "subject", "time", "runid", "data")}
    return json.dumps(must | {"id": "0f1e9c6e-8d0b-4f64-9d3c-1d7c4f3f5a11"} | attributes).encode()


def lost(index: int) -> CandidateLost:
    return CandidateLost(run_id="r", index=index, step="evaluation", asked=1)


def test_a_message_without_cause_begins_a_trace_that_is_its_own_and_the_same_again() -> None:
    first, again, other = (Envelope.of(lost(index), source="test").traceparent for index in (1, 1, 2))
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", first)
    assert first == again
    assert trace_id(first) != trace_id(other)


def test_a_message_with_a_cause_continues_its_trace_as_a_new_parent() -> None:
    cause = Envelope.of(lost(1), source="test", traceparent=THEIRS)
    one, two = (Envelope.of(lost(index), source="test", cause=cause) for index in (2, 3))
    assert [trace_id(e.traceparent) for e in (cause, one, two)] == [TRACE] * 3
    assert len({PARENT, *(e.traceparent.split("-")[2] for e in (cause, one, two))}) == 4


def test_a_trace_of_a_later_version_is_continued_in_ours() -> None:
    later = Envelope.parse(foreign(traceparent=f"01-{TRACE}-{PARENT}-03-more"))
    ours = Envelope.of(lost(1), source="test", cause=later).traceparent
    assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-01", ours)


@pytest.mark.parametrize("given", INVALID, ids=lambda given: repr(given)[:70])
def test_an_invalid_trace_context_is_as_good_as_none(given: object) -> None:
    assert trace_id(given) is None
    begun = Envelope.parse(foreign()).traceparent
    assert trace_id(begun)
    assert Envelope.parse(foreign(traceparent=given)).traceparent == begun


@pytest.mark.parametrize("given", [THEIRS, "nonsense"])
async def test_another_systems_message_is_handled_whatever_its_id_and_trace_context(given: str) -> None:
    bus, handler = MemoryBus(), Recording(answers=[RunFinished(run_id="r", reason="x")])
    answers: list[Envelope] = []

    async def callback(delivery) -> None:
        answers.append(Envelope.parse(delivery.body))

    answered = Queue("answers", ("run.finished",), prefetch=1)
    await bus.declare(answered)
    await Consumer(bus, Queue("q", (), prefetch=1), handler, "test").on_delivery(Bytes(foreign(traceparent=given)))
    await (await bus.subscribe(answered, callback)).drain()
    assert [type(m) for m in handler.seen] == [CandidateSubmitted]
    assert await bus.parked() == []
    assert (trace_id(answers[0].traceparent) == TRACE) == (given == THEIRS)


@pytest.mark.parametrize("attribute", ["id", "source"])
@pytest.mark.parametrize("value", ["", "x" * 256, "é", "a\nb"])
def test_what_no_amqp_property_can_mirror_is_refused_by_name(attribute: str, value: str) -> None:
    with pytest.raises(MalformedMessage, match=attribute):
        Envelope.parse(foreign(**{attribute: value}))
