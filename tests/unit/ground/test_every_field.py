"""Every number of every message, spec, protocol and setting has bounds, and every text, list and mapping a longest."""

import asyncio
import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archloop import presets, protocols
from archloop.bus.consumer import Consumer
from archloop.bus.memory import MemoryBus
from archloop.contracts.adapter import AdapterManifest
from archloop.contracts.envelope import Envelope, MalformedMessage
from archloop.contracts.messages import CATALOGUE
from archloop.contracts.spec import RunSpec
from archloop.contracts.topology import EVALUATOR
from archloop.errors import InvalidInput, Misconfigured
from archloop.protocols.model import Protocol
from archloop.validation import checked
from services.evaluator.settings import EvaluatorSettings
from services.generator.settings import GeneratorSettings
from services.novelty.settings import NoveltySettings
from services.registry.api.requests import PairsRequest, RunRequest, SubmissionRequest
from services.registry.settings import RegistrySettings
from services.trainer.settings import TrainerSettings
from tests.unit.ground.fields import Found, fields, numbers, put

GOLDEN = Path(__file__).parents[2] / "contract" / "golden"
SETTINGS = [EvaluatorSettings, GeneratorSettings, NoveltySettings, RegistrySettings, TrainerSettings]
MODELS = [*CATALOGUE, Envelope, AdapterManifest, RunSpec, Protocol, RunRequest, SubmissionRequest, PairsRequest]
HELD_OTHERWISE = {
    ("dataset", "options"): "read by the data set that it is for",
    ("dataset", "shape"): "three",
    ("normalise", "mean"): "one for each channel",
    ("normalise", "std"): "one for each channel",
    ("data",): "by the message's own fields",
    ("traceparent",): "by its form",
}
BLOB = {"key": "k", "sha256": "0" * 64, "bytes": 1}
ADAPTER = {"adapter": "a", "manifest": BLOB, "base_model": "tiny"}
MISSING = {
    "spec": {"adapter": ADAPTER, "gate": {"candidates": 4}, "bootstrap": {"pairs": BLOB, "count": 1}},
    "adapter": ADAPTER,
    "parent": ADAPTER,
}


def sample(kind: type) -> dict[str, object]:
    """A message's envelope, as JSON."""
    content: dict[str, object] = json.loads((GOLDEN / f"{kind.name}.v{kind.version}.json").read_bytes())
    return content


def based(content: dict[str, object], path: tuple[str | int, ...]) -> dict[str, object]:
    """With what is null on the way to a field filled in."""
    for depth in range(1, len(path)):
        inner: object = content
        for part in path[:depth]:
            inner = inner.get(part) if isinstance(inner, dict) else None
        if inner is None and path[depth - 1] in {"adapter", "parent", "gate", "bootstrap", "pairs", "blob"}:
            filled = {**MISSING["spec"], "parent": ADAPTER, "pairs": BLOB, "blob": BLOB}[str(path[depth - 1])]
            content = put(content, path[:depth], filled)
    return content


def with_json(content: dict[str, object], path: tuple[str | int, ...], value: str) -> bytes:
    """The value need not be one that Python's JSON would write."""
    return json.dumps(put(content, path, "@here@")).replace('"@here@"', value).encode()


@pytest.mark.parametrize("model", [*MODELS, *SETTINGS], ids=lambda m: m.__name__)
def test_nothing_is_without_a_bound(model):
    found = list(fields(model))
    assert found
    for each in found:
        ending = tuple(part for part in each.path if part not in (0, "key"))[-2:]
        if each.path[:1] in HELD_OTHERWISE or ending in HELD_OTHERWISE or ending[-1:] in HELD_OTHERWISE:
            continue
        if each.kind in {int, float}:
            assert None not in each.bounds, each.path
        elif model not in SETTINGS:
            fixed = each.kind is list and each.about == () and "shape" in each.path
            formed = any(getattr(about, "pattern", None) for about in each.about)
            assert each.longest is not None or formed or fixed, each.path


NUMBERS = [(kind, found) for kind in CATALOGUE for found in numbers(kind)]


def test_the_table_is_not_empty():
    assert len(NUMBERS) > 120
    assert {kind.name for kind, _ in NUMBERS} == {kind.name for kind in CATALOGUE} - WITHOUT_NUMBERS


WITHOUT_NUMBERS = {"run.finished", "adapter.activated", "adapter.rejected"}


def outcome(body: bytes) -> str:
    """What the parser says; nothing but this is raised."""
    try:
        Envelope.parse(body).message()
    except MalformedMessage as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", [k for k in CATALOGUE if k.name not in WITHOUT_NUMBERS], ids=lambda k: k.name)
def test_a_message_is_read_or_refused_in_one_line(kind):
    refused = 0
    for found in numbers(kind):
        content = based(sample(kind), ("data", *found.path))
        for value in found.values():
            body = with_json(content, ("data", *found.path), value)
            said = outcome(body)
            assert said.isprintable(), (found.path, value)
            assert len(said) < 1000
            refused += bool(said)
        low, high = found.bounds
        for beyond in (-2 * abs(low) - 1, 2 * high + 1):
            assert outcome(with_json(content, ("data", *found.path), repr(beyond))), (found.path, beyond)
    assert refused > 10


@pytest.mark.parametrize(("value", "taken"), [*((v, False) for v in ("0", "-1", "true", "1e400")), (str(2**31), True)])
def test_so_are_the_envelopes_own(value, taken):
    body = with_json(sample(CATALOGUE[0]), ("attempt",), value)
    assert (outcome(body) == "") is taken


NUMBER = st.one_of(st.integers(), st.integers(-5, 5).map(lambda n: 2**53 + n), st.floats(), st.booleans())


@settings(max_examples=200, deadline=None)
@given(case=st.sampled_from(NUMBERS), value=NUMBER)
def test_a_number_that_is_taken_is_within_its_bounds(case, value):
    kind, found = case
    body = with_json(based(sample(kind), ("data", *found.path)), ("data", *found.path), json.dumps(value))
    if outcome(body) == "":
        low, high = found.bounds
        assert not isinstance(value, bool)
        assert math.isfinite(value)
        assert low <= value <= high


TEXTS = [(kind, found) for kind in CATALOGUE for found in fields(kind) if found.longest and found.kind in {str, list}]


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in TEXTS}, key=lambda k: k.name), ids=lambda k: k.name)
def test_what_is_too_long_is_refused_or_cut(kind):
    bounded = [found for of, found in TEXTS if of is kind and found.longest < 10**6]
    assert bounded
    for found in bounded:
        content = based(sample(kind), ("data", *found.path))
        too_long = "x" * (found.longest + 1) if found.kind is str else [1] * (found.longest + 1)
        body = json.dumps(put(content, ("data", *found.path), too_long)).encode()
        said = outcome(body)
        assert said.isprintable()
        assert len(said) < 1000
        if not said:
            cut = Envelope.parse(body).message().data()
            for part in found.path:
                cut = cut[part]
            assert len(cut) == found.longest


async def test_what_is_malformed_is_parked_with_its_reason_and_no_trace_of_ours(tmp_path):
    bus, kind = MemoryBus(), next(k for k in CATALOGUE if k.name == "candidate.generated")
    found = next(each for each in numbers(kind) if each.path == ("index",))
    bodies = {with_json(sample(kind), ("data", "index"), value) for value in found.values()}
    malformed = {body for body in bodies if outcome(body)}
    assert len(malformed) > 20

    class Nobody:
        async def handle(self, message):
            return []

    consumer = Consumer(bus, EVALUATOR, Nobody(), "evaluator")
    await bus.declare(EVALUATOR)
    for body in bodies:
        await consumer.on_delivery(Delivered(body))
    parked = await bus.parked()
    assert {each.body for each in parked} == malformed
    assert all(each.reason.startswith("malformed_message: ") and each.reason.isprintable() for each in parked)


class Delivered:
    """A delivery that anybody may end."""

    def __init__(self, body):
        self.body = body
        self.ended = 0

    async def ack(self):
        self.ended += 1
        return True

    async def release(self):
        self.ended += 1

    async def lost(self):
        await asyncio.Event().wait()


def refusal(kind: type[Exception], call, *arguments: object) -> str:
    """What the call says where it raises this, and it may raise nothing else."""
    try:
        call(*arguments)
    except kind as error:
        return str(error)
    return ""


SPECS = {
    RunSpec: (presets.checked, {**presets.load("demo").model_dump(mode="json"), **MISSING["spec"]}),
    Protocol: (None, protocols.load("shapes").model_dump(mode="json")),
}


def cases(found: Found) -> Iterator[object]:
    for value in found.values():
        try:
            yield json.loads(value)
        except ValueError:  # more digits than Python reads
            yield 10**400


@pytest.mark.parametrize("model", SPECS, ids=lambda m: m.__name__)
def test_a_spec_of_loose_values_is_taken_or_refused_in_one_line(model):
    content = SPECS[model][1]
    assert numbers(model)
    for found in numbers(model):
        for value in cases(found):
            said = refusal(InvalidInput, checked, model, put(content, found.path, value), "here")
            assert said.isprintable(), (found.path, value)
            assert len(said) < 600


@pytest.mark.parametrize("model", SETTINGS, ids=lambda m: m.__name__)
def test_settings_at_their_bounds_and_beyond_are_taken_or_told_in_one_line(model, monkeypatch):
    refused = taken = 0
    for found in numbers(model):
        variable = model.variable(str(found.path[0]))
        for value in [*found.values()][::2]:
            with monkeypatch.context() as only:
                only.setenv(variable, value.strip('"'))
                said = refusal(Misconfigured, model.load)
            refused, taken = refused + bool(said), taken + (not said)
            assert not said or variable in said
            assert "\n" not in said
    assert refused > taken > 0
