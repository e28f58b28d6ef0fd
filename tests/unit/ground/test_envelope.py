"""What an envelope says of its message, and of what it cannot read."""

import json
from typing import Any

import pytest

from archloop.contracts import trace
from archloop.contracts.envelope import Envelope, MalformedMessage
from archloop.contracts.messages import (
    CATALOGUE,
    AdapterActivated,
    CandidateLost,
    CycleClosed,
    RunFinished,
    TrainingRejected,
)

LOST = CandidateLost(run_id="r", cycle=2, index=1, step="evaluation", asked=3)
CLOSED = CycleClosed(run_id="r", cycle=2, generated=1, valid=1, novel=1, admitted=1)
WHOLE: dict[str, Any] = json.loads(Envelope.of(LOST, source="test").encode())


@pytest.mark.parametrize(
    ("message", "subject"),
    [
        (LOST, f"r/{LOST.candidate_id}"),
        (RunFinished(run_id="r", reason="over"), "r"),
        (CLOSED, "r/2"),
        (AdapterActivated(run_id="r", adapter="a-c1", replica="one"), "r/a-c1/one"),
        (TrainingRejected(run_id="r", cycle=-1, reason="x"), "r/-1"),
    ],
)
def test_an_envelope_says_what_its_message_is_about(message, subject) -> None:
    envelope = Envelope.of(message, source="somewhere")
    assert (envelope.subject, envelope.source) == (subject, "/archloop/somewhere")
    assert (envelope.runid, envelope.type, envelope.routing_key) == ("r", message.type, message.name)
    assert (envelope.message(), envelope.attempt, envelope.causationid) == (message, 1, None)
    assert Envelope.parse(envelope.encode()) == envelope


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not a CloudEvents envelope: body: Invalid JSON: "),
        (b"[]", "not a CloudEvents envelope: body: Input should be an object (got '[]')"),
        (b"7", "not a CloudEvents envelope: body: Input should be an object (got '7')"),
        (
            json.dumps(WHOLE | {"time": "x"}).encode(),
            "not a CloudEvents envelope: time: Input should be a valid datetime",
        ),
        (json.dumps(WHOLE | {"attempt": 0}).encode(), "not a CloudEvents envelope: attempt: Input should be greater"),
        (json.dumps(WHOLE | {"id": "x" * 500}).encode(), "not a CloudEvents envelope: id: String should match"),
    ],
)
def test_what_is_no_envelope_is_refused_by_its_first_field(body: bytes, said: str) -> None:
    with pytest.raises(MalformedMessage) as refused:
        Envelope.parse(body)
    assert str(refused.value).startswith(said)
    assert len(str(refused.value)) < 250
    assert (refused.value.code, refused.value.retryable) == ("malformed_message", False)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"asked": -1}, "asked: Input should be greater than or equal to 0 (got '-1')"),
        ({"step": "x" * 200}, f"'generation', 'evaluation' or 'judgement' (got '{'x' * 80}')"),
        ({"run_id": "-"}, "run_id: String should match pattern"),
    ],
)
def test_wrong_data_is_refused_by_type_and_field(data: dict[str, object], said: str) -> None:
    with pytest.raises(MalformedMessage) as refused:
        Envelope.model_validate(WHOLE | {"data": WHOLE["data"] | data}).message()
    assert str(refused.value).startswith("archloop.candidate.lost.v1: ")
    assert said in str(refused.value)


def test_a_field_within_another_is_named_with_its_place() -> None:
    sample = {"run_id": "r", "spec": {"cycles": 0, "candidates": 1, "protocol": "p"}}
    envelope = Envelope.model_validate(WHOLE | {"type": "archloop.run.requested.v1", "data": sample})
    with pytest.raises(MalformedMessage, match=r"^archloop\.run\.requested\.v1: spec\.cycles: Input should be greater"):
        envelope.message()


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    known = ", ".join(sorted(f"archloop.{message.name}.v{message.version}" for message in CATALOGUE))
    with pytest.raises(MalformedMessage) as refused:
        Envelope.model_validate(WHOLE | {"type": "archloop.x.v1"}).message()
    assert str(refused.value) == f"type: 'archloop.x.v1' is not known here; expected one of {known}"


@pytest.mark.parametrize("given", ["", "x", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", None, 7])
def test_without_a_trace_one_is_begun_that_is_the_messages_own(given: object) -> None:
    one, again = (Envelope.model_validate(WHOLE | {"traceparent": given}) for _ in range(2))
    other = Envelope.model_validate(WHOLE | {"traceparent": given, "id": "another"})
    ids = [trace.trace_id(each.traceparent) for each in (one, again, other)]
    assert ids[0] == ids[1] == trace.trace_id(trace.traceparent(WHOLE["id"]))
    assert ids[2] not in (None, ids[0])


@pytest.mark.parametrize("attempt", [1, 2, 41])
def test_the_next_attempt_is_the_same_event(attempt: int) -> None:
    envelope = Envelope.model_validate(WHOLE | {"attempt": attempt})
    assert envelope.again() == envelope.model_copy(update={"attempt": attempt + 1})


@pytest.mark.parametrize(
    "name", ["attempt", "traceparent", "datacontenttype", "causationid", "replayed", "specversion"]
)
def test_what_another_system_may_leave_out_has_a_value(name: str) -> None:
    given = {key: value for key, value in WHOLE.items() if key != name}
    assert json.loads(Envelope.model_validate(given).encode()) == WHOLE | {
        "traceparent": trace.traceparent(WHOLE["id"]) if name == "traceparent" else WHOLE["traceparent"]
    }
