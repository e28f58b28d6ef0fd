"""The wire form of every message type, held against golden samples."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from archloop.contracts.envelope import Envelope, MalformedMessage
from archloop.contracts.messages import CATALOGUE, CandidateGenerated
from archloop.contracts.topology import QUEUES, Queue
from archloop.contracts.values import SourceCode

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("kind", CATALOGUE, ids=lambda m: m.name)
def test_every_type_reads_its_golden_sample_and_writes_it_back_equal(kind) -> None:
    sample = GOLDEN / f"{kind.name}.v{kind.version}.json"
    body = sample.read_bytes()
    envelope = Envelope.parse(body)
    message = envelope.message()
    assert type(message) is kind
    assert message.id == envelope.id, "the derived id is part of the contract"
    assert json.loads(envelope.encode()) == json.loads(body)


def test_an_additive_field_of_a_newer_peer_is_ignored() -> None:
    body = json.loads((GOLDEN / "candidate.judged.v1.json").read_bytes())
    body["data"]["novelty_of_tomorrow"] = 1
    body["futureattribute"] = "x"
    assert Envelope.parse(json.dumps(body).encode()).message().verdict == "novel"


def test_messages_are_frozen() -> None:
    envelope = Envelope.parse((GOLDEN / "run.finished.v1.json").read_bytes())
    with pytest.raises(ValidationError):
        envelope.message().reason = "other"


def test_code_whose_hash_is_wrong_is_refused() -> None:
    body = json.loads((GOLDEN / "candidate.generated.v1.json").read_bytes())
    body["data"]["code"]["text"] += "#"
    with pytest.raises(MalformedMessage, match="sha256"):
        Envelope.parse(json.dumps(body).encode()).message()


def test_ids_differ_by_candidate_and_by_step_and_never_by_content() -> None:
    def generated(index: int, text: str) -> CandidateGenerated:
        return CandidateGenerated(run_id="r", index=index, code=SourceCode.inline(text), prompt="", protocol="shapes")

    assert generated(1, "a").id == generated(1, "b").id != generated(2, "a").id


def test_every_message_but_those_for_the_registry_alone_has_a_queue_of_its_own() -> None:
    for message in CATALOGUE:
        assert any(queue.wants(message.name) for queue in QUEUES)


@pytest.mark.parametrize(
    ("pattern", "key", "wanted"),
    [
        ("#", "a.b.c", True),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.#", "a.b.c", True),
        ("candidate.evaluated.*", "candidate.evaluated.ok", True),
        ("candidate.lost", "candidate.lostx", False),
    ],
)
def test_bindings_match_as_amqp_topics_do(pattern: str, key: str, wanted: bool) -> None:
    assert Queue("q", (pattern,), prefetch=1).wants(key) is wanted
