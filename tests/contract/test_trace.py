"""W3C trace context: https://www.w3.org/TR/trace-context/."""

import json
import re
from pathlib import Path

import pytest

from archloop.bus.consumer import Consumer
from archloop.bus.memory import MemoryBus
from archloop.contracts.base import CandidateMessage, Message
from archloop.contracts.envelope import Envelope, MalformedMessage
from archloop.contracts.messages import CATALOGUE, CandidateSubmitted, CycleClosed, RunFinished
from archloop.contracts.topology import Queue
from archloop.contracts.trace import Place, trace_id
from tests.contract.test_bus import Bytes, Recording

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
UID = "0f1e9c6e-8d0b-4f64-9d3c-1d7c4f3f5a11"
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


def closed(cycle: int) -> CycleClosed:
    return CycleClosed(run_id="r", cycle=cycle, generated=1, valid=1, novel=1, admitted=1)


def test_a_message_without_cause_begins_a_trace_that_is_its_own_and_the_same_again() -> None:
    first, again, other = (Envelope.of(closed(index), source="test").traceparent for index in (1, 1, 2))
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", first)
    assert first == again
    assert trace_id(first) != trace_id(other)


def test_a_message_with_a_cause_continues_its_trace_as_a_new_parent() -> None:
    cause = Envelope.of(closed(1), source="test", traceparent=THEIRS)
    one, two = (Envelope.of(closed(index), source="test", cause=cause) for index in (2, 3))
    assert [trace_id(e.traceparent) for e in (cause, one, two)] == [TRACE] * 3
    assert len({PARENT, *(e.traceparent.split("-")[2] for e in (cause, one, two))}) == 4


def golden(name: str) -> Message:
    return Envelope.parse((Path(__file__).parent / f"golden/{name}.v1.json").read_bytes()).message()


OF_A_CANDIDATE = [
    kind.name for kind in CATALOGUE if issubclass(kind, CandidateMessage) and kind is not CandidateSubmitted
]


@pytest.mark.parametrize("name", OF_A_CANDIDATE)
@pytest.mark.parametrize("cause", [None, THEIRS], ids=["asked by the clock", "caused by another"])
def test_all_that_is_said_of_a_runs_candidate_is_in_the_trace_of_the_request_for_it(name, cause) -> None:
    message = golden(name).model_copy(update={"run_id": "r", "run_uid": UID, "cycle": 2, "index": 3})
    request = golden("generation.requested").model_copy(update={"run_id": "r", "run_uid": UID, "cycle": 2, "index": 3})
    assert message.trace_root == request.id, "the request's id is what the trace's follows from"
    said, begun = (Envelope.of(each, source="x", traceparent=cause).traceparent for each in (message, request))
    assert trace_id(said) == trace_id(begun) != TRACE
    assert Place.read(begun) == Place.of(request.id)


def test_a_submission_is_in_the_trace_of_whoever_submits_it() -> None:
    submitted = golden("candidate.submitted")
    verdict = golden("candidate.judged").model_copy(update={"submission": "s"})
    for message in (submitted, verdict):
        assert trace_id(Envelope.of(message, source="x", traceparent=THEIRS).traceparent) == TRACE


def test_a_training_has_a_trace_of_its_own_which_its_adapter_shares() -> None:
    asked = Envelope.of(golden("training.requested"), source="x", traceparent=THEIRS)
    trained = Envelope.of(golden("adapter.trained"), source="x", cause=asked)
    assert TRACE != trace_id(asked.traceparent) == trace_id(trained.traceparent)


def test_a_trace_of_a_later_version_is_continued_in_ours() -> None:
    later = Envelope.parse(foreign(traceparent=f"01-{TRACE}-{PARENT}-03-more"))
    ours = Envelope.of(closed(1), source="test", cause=later).traceparent
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
