"""Traces of single deliveries, as a collector gets them: whose child a span is, and what it says."""

import asyncio
import subprocess
import sys

import pytest
from structlog.testing import capture_logs

from archloop import telemetry
from archloop.bus.consumer import Consumer, RetryPolicy
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import CandidateGenerated, CandidateJudged, GenerationRequested
from archloop.contracts.spec import GenerationSpec, NoveltySpec
from archloop.contracts.topology import Queue
from archloop.contracts.trace import Place
from archloop.contracts.values import SourceCode, Usage
from archloop.errors import InvalidInput, Unavailable
from tests.servers.collector import collecting
from tests.servers.process import free_ports
from tests.unit.ground.consuming import Delivery, WritingBus

CODE = "secret_of_the_code = 1"
ABOUT = {"run_id": "r", "cycle": 1, "index": 2}
SPEC = {"generation": GenerationSpec(), "novelty": NoveltySpec(), "base_model": "tiny", "protocol": "digits"}
ASKED = GenerationRequested(**ABOUT, seed=1, **SPEC)
GENERATED = CandidateGenerated(
    **ABOUT,
    code=SourceCode.inline(CODE),
    prompt="secret of the prompt",
    protocol="digits",
    adapter="r-c0",
    problem="secret of the error",
    usage=Usage(prompt_tokens=7, completion_tokens=5),
)
JUDGED = CandidateJudged(**(ABOUT | {"index": 1}), verdict="novel", similarity=0, threshold=0.9, family="plain")
ROOT = Place.of(ASKED.id)


class Answering:
    """Answers with these messages, or raises."""

    def __init__(self, *answers, raises=None) -> None:
        self.answers, self.raises = answers, raises

    async def handle(self, _):
        with telemetry.span("work") as span:
            span.stages({"build": 0.25, "train": 0.5})
            if self.raises is not None:
                raise self.raises
        return self.answers


async def handled(body, handler, service="worker") -> WritingBus:
    bus = WritingBus()
    consumer = Consumer(bus, Queue("q", ("#",), prefetch=1), handler, service, RetryPolicy((1.0,)))
    await consumer.on_delivery(Delivery(body))
    return bus


async def traced(body, handler):
    """What one delivery tells a collector."""
    with collecting() as collector:
        with telemetry.sending({"worker": collector.url}):
            await handled(body, handler)
        return collector


def bytes_of(message, **changed) -> bytes:
    return Envelope.of(message, source="test").model_copy(update=changed).encode()


async def test_a_delivery_is_the_messages_child_and_what_it_says_is_its_own():
    collector = await traced(bytes_of(ASKED), Answering(GENERATED))
    spans = {span.name: span for span in collector.spans}
    process, work, send = (spans[name] for name in ("process generation.requested", "work", "send candidate.generated"))
    assert spans.keys() == {process.name, work.name, send.name, "build", "train"}
    assert {span.trace_id for span in collector.spans} == {ROOT.trace_id}
    assert process.parent == ROOT.span_id
    assert work.parent == send.parent == process.span_id
    assert {spans[name].parent for name in ("build", "train")} == {work.span_id}
    assert send.span_id == Place.of(GENERATED.id).span_id, "the one that the message names"
    assert {span.service for span in collector.spans} == {"worker"}
    assert process.facts == {
        "archloop.run": "r",
        "archloop.candidate": ASKED.candidate_id,
        "archloop.attempt": 1,
        "archloop.end": "handled",
        "messaging.operation.type": "process",
        "messaging.message.id": ASKED.id,
        "messaging.destination.name": "q",
    }
    told = {name: send.facts[f"archloop.{name}"] for name in ("adapter", "prompt_tokens", "completion_tokens")}
    assert told == {"adapter": "r-c0", "prompt_tokens": 7, "completion_tokens": 5}


@pytest.mark.parametrize("raises", [None, InvalidInput("code", CODE, "other"), Unavailable(CODE), KeyError(CODE)])
async def test_neither_code_nor_prompts_nor_errors_are_ever_told(raises):
    collector = await traced(bytes_of(GENERATED), Answering(GENERATED, raises=raises))
    assert collector.spans
    assert not any(b"secret" in body for body in collector.bodies)


@pytest.mark.parametrize(
    ("raises", "end", "kind"),
    [
        (InvalidInput("x", 1, "2"), "parked", "invalid_input"),
        (Unavailable("away"), "retried", "unavailable"),
        (KeyError("k"), "retried", "KeyError"),
    ],
)
async def test_what_fails_says_how_it_ended_and_the_kind_of_error(raises, end, kind):
    collector = await traced(bytes_of(ASKED), Answering(raises=raises))
    spans = {span.name: span for span in collector.spans}
    for name in ("process generation.requested", "work"):
        assert spans[name].failed
        assert spans[name].facts["error.type"] == kind
    assert spans["process generation.requested"].facts["archloop.end"] == end


async def test_the_second_attempt_stands_beside_the_first():
    with collecting() as collector, telemetry.sending({"worker": collector.url}):
        await handled(bytes_of(ASKED), Answering())
        await handled(bytes_of(ASKED, attempt=2), Answering())
    attempts = [span for span in collector.spans if span.name.startswith("process")]
    assert [span.facts["archloop.attempt"] for span in attempts] == [1, 2]
    assert {span.parent for span in attempts} == {ROOT.span_id}


async def test_what_one_candidate_sets_off_for_another_is_in_that_ones_trace_and_linked():
    collector = await traced(bytes_of(GENERATED), Answering(JUDGED))
    spans = {span.name: span for span in collector.spans}
    other = Place.of(ASKED.model_copy(update={"index": 1}).id)
    said = spans["send candidate.judged"]
    assert (said.trace_id, said.parent) == other
    assert said.links == (spans["process candidate.generated"].span_id,)


async def test_a_request_begins_its_trace_and_names_what_caused_it():
    collector = await traced(bytes_of(JUDGED), Answering(ASKED))
    spans = {span.name: span for span in collector.spans}
    asked = spans["send generation.requested"]
    assert (asked.trace_id, asked.span_id, asked.parent) == (*ROOT, "")
    assert asked.links == (spans["process candidate.judged"].span_id,)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x" * 100_000,
        "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "1" * 32 + "-" + "0" * 16 + "-01",
        "ff-" + "1" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "1" * 32 + "-" + "1" * 16 + "-01\n<script>",
        "00-" + "G" * 32 + "-" + "1" * 16 + "-01",
        "00-\u0661" + "1" * 31 + "-" + "1" * 16 + "-01",
    ],
    ids=range(8),
)
async def test_a_malformed_traceparent_is_as_none(given):
    collector = await traced(bytes_of(GENERATED, traceparent=given), Answering())
    (process,) = [span for span in collector.spans if span.name.startswith("process")]
    assert (process.trace_id, process.parent) == Place.of(GENERATED.id)


@pytest.mark.parametrize("flags", ["00", "01", "ff"])
async def test_nobody_else_decides_whether_it_is_recorded(flags):
    collector = await traced(bytes_of(GENERATED, traceparent=f"00-{'1' * 32}-{'2' * 16}-{flags}"), Answering())
    assert {span.trace_id for span in collector.spans} == {"1" * 32}


async def test_services_of_one_process_send_under_their_own_names_those_without_collector_nothing():
    with collecting() as collector:
        with telemetry.sending({"one": collector.url, "two": collector.url, "silent": None}):
            for service in ("one", "two", "silent"):
                await handled(bytes_of(ASKED), Answering(), service)
        await handled(bytes_of(ASKED), Answering(), "one")
    assert sorted(span.service for span in collector.spans if span.name == "work") == ["one", "two"]


@pytest.mark.parametrize("trouble", ["refuses", "nobody there"])
async def test_a_collector_in_trouble_costs_a_line_and_no_message(trouble):
    with collecting() as collector, capture_logs() as logs:
        collector.answer = 400
        url = collector.url if trouble == "refuses" else f"http://127.0.0.1:{free_ports(1)[0]}"
        with telemetry.sending({"worker": url}):
            for _ in range(2):
                bus = await handled(bytes_of(ASKED), Answering(GENERATED))
                assert len(bus.published) == 1
                for _ in range(100):
                    await asyncio.sleep(0.05)
                    if warned := [log for log in logs if log["log_level"] == "warning"]:
                        break
    assert warned == [log for log in logs if log["log_level"] == "warning"]
    assert [(log["event"].split(";")[0], log["collector"]) for log in warned] == [
        ("the collector takes no traces", url)
    ]


def test_without_the_extra_a_line_says_what_to_install_and_nothing_else_changes(monkeypatch):
    monkeypatch.setitem(sys.modules, "archloop.otlp", None)
    with capture_logs() as logs, telemetry.sending({"worker": "http://127.0.0.1:1"}):
        asyncio.run(handled(bytes_of(ASKED), Answering(GENERATED)))
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == [
        "no traces are sent: pip install 'archloop[otel]'"
    ]


def test_who_sends_nothing_imports_nothing():
    program = """
import sys
from archloop import telemetry
from archloop.bus.consumer import Consumer
import services.novelty.app
with telemetry.sending({"novelty": None}):
    print([name for name in ("archloop.otlp", "opentelemetry.sdk", "opentelemetry.exporter") if name in sys.modules])
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


async def test_stages_fill_the_time_before_and_none_begins_before_the_work():
    collector = await traced(bytes_of(ASKED), Answering())
    spans = {span.name: span for span in collector.spans}
    assert spans["build"].seconds == pytest.approx(0.25, abs=1e-6)
    assert spans["train"].seconds == pytest.approx(0.5, abs=1e-6)
