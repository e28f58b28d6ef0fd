"""Requests become candidates, announcements become adapters that serve; nothing an LLM says breaks either."""

import asyncio

import pytest

from archloop.blobs.programs import INLINE_LIMIT
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import (
    AdapterActivated,
    AdapterRejected,
    AdapterTrained,
    CandidateGenerated,
    GenerationRequested,
)
from archloop.contracts.spec import GenerationSpec, NoveltySpec
from archloop.contracts.values import sha256_of
from archloop.errors import InvalidInput, NotFound
from services.generator.errors import AdapterUnusable
from services.generator.handlers import AdapterHandler, GenerateHandler, Prices
from tests.unit.generator.fakes import BASE
from tests.unit.seeds.marks import train_one_step

GENERATION = GenerationSpec(temperature=0.8, top_p=0.9, max_new_tokens=99)


def request(index=3, adapter=None, **changes):
    fields = {
        "run_id": "run",
        "cycle": 1,
        "index": index,
        "seed": 100 + index,
        "protocol": "digits",
        "generation": GENERATION,
        "novelty": NoveltySpec(threshold=0.7),
        "base_model": BASE.name,
        "adapter": adapter,
    }
    return GenerationRequested(**(fields | changes))


def trained(ref, cycle=1):
    return AdapterTrained(run_id="run", cycle=cycle, adapter=ref, pair_count=3)


@pytest.fixture
def handler(backend, manager, blobs):
    return GenerateHandler(backend, manager, blobs)


@pytest.fixture
def announcements(manager):
    return AdapterHandler(manager, "replica-1")


async def only(handler, message) -> CandidateGenerated:
    (generated,) = await handler.handle(message)
    assert Envelope.parse(Envelope.of(generated, source="generator").encode()).message() == generated
    return generated


async def test_a_request_becomes_its_candidate(handler, backend):
    message = request()
    generated = await only(handler, message)
    assert generated.candidate_id == message.candidate_id
    assert generated.code.text == "class Net: ...\n"
    assert generated.problem == ""
    assert (generated.protocol, generated.novelty) == (message.protocol, message.novelty)
    assert (generated.usage.prompt_tokens, generated.usage.completion_tokens) == (3, 5)
    ((prompt, decoding, seed, adapter),) = backend.asked
    assert (prompt, seed, adapter) == (generated.prompt, 103, None)
    assert (decoding.temperature, decoding.top_p, decoding.max_new_tokens) == (0.8, 0.9, 99)


async def test_the_same_request_asks_the_same_and_another_index_another_prompt(handler, backend):
    first, again, other = [await only(handler, request(index)) for index in (3, 3, 4)]
    assert first == again
    assert backend.asked[0] == backend.asked[1]
    assert other.prompt != first.prompt


STARTED = GENERATION.model_copy(update={"start": "seed-program"})


@pytest.mark.parametrize("index", range(4))
async def test_the_seed_program_writes_the_first_cycle_where_the_run_starts_with_it(index, handler, backend):
    message = request(index, cycle=0, generation=STARTED)
    generated = await only(handler, message)
    assert backend.asked == []
    assert (generated.adapter, generated.problem, generated.usage.completion_tokens) == (None, "", 0)
    assert train_one_step(generated.code.text).shape[0] == 5
    assert not generated.code.text.startswith("# design")
    assert generated == await only(handler, message)


async def test_what_the_seed_program_wrote_names_no_adapter(handler, backend, publisher):
    generated = await only(handler, request(cycle=0, generation=STARTED, adapter=await publisher.publish("code-v1")))
    assert generated.adapter is None
    assert backend.asked == []


@pytest.mark.parametrize("place", [{"cycle": 1}, {"cycle": 21}, {"cycle": 0, "submission": "trial-base-3"}], ids=str)
async def test_the_llm_writes_later_cycles_and_what_stands_in_none(place, handler, backend):
    await only(handler, request(generation=STARTED, **place))
    assert len(backend.asked) == 1


@pytest.mark.parametrize("bar", [None, 0.0, 0.1, 0.625, 1.0])
async def test_the_bar_of_a_ladder_is_handed_on_to_the_evaluator(bar, handler):
    generated = await only(handler, request(bar=bar))
    assert generated.bar == bar
    assert ("bar" in generated.data()) is (bar is not None)


async def test_an_answer_without_code_is_a_candidate_without_code(handler, backend):
    backend.text = "I cannot do that."
    generated = await only(handler, request())
    assert generated.code.text == ""
    assert "no fenced code block" in generated.problem


async def test_an_answer_that_was_cut_off_keeps_its_code(handler, backend):
    backend.text = "```python\nclass Net:\n    def"
    generated = await only(handler, request())
    assert generated.code.text == "class Net:\n    def"
    assert "cut off" in generated.problem


async def test_code_that_is_no_unicode_is_no_code(handler, backend):
    backend.text = "```python\nclass Net: '\ud800'\n```\n"
    generated = await only(handler, request())
    assert generated.code.text == ""
    assert "UTF-8" in generated.problem


async def test_surrogates_around_the_code_harm_nothing(handler, backend):
    backend.text = "\ud800\n```python\nclass Net: 'Größe\x00'\n```\n\udfff"
    generated = await only(handler, request())
    assert generated.code.text == "class Net: 'Größe\x00'\n"


@pytest.mark.parametrize("excess", [0, 1])
async def test_code_above_64_kib_of_utf8_goes_into_the_object_store(excess, handler, backend, blobs):
    code = "# " + "ä" * (INLINE_LIMIT // 2 - 2) + "b" * excess + "\n\n"[: 2 - excess] + "c" * excess
    code = code.ljust(INLINE_LIMIT - len(code.encode()) + len(code) + excess, "x")[:-1] + "\n"
    assert len(code.encode()) == INLINE_LIMIT + excess
    backend.text = f"```python\n{code}```\n"
    generated = await only(handler, request())
    assert (generated.code.text is None) == bool(excess)
    assert generated.code.sha256 == sha256_of(code)
    if generated.code.blob:
        assert await blobs.get(generated.code.blob) == code.encode()


async def test_it_is_asked_of_the_adapter_that_the_request_names(handler, backend, publisher, manager):
    generated = await only(handler, request(adapter=await publisher.publish("code-v1")))
    assert generated.adapter == "code-v1"
    assert backend.asked[0][3] == "code-v1"
    assert manager.active == ["code-v1"]


async def test_a_request_keeps_its_adapter_while_newer_ones_come(handler, announcements, backend, publisher):
    refs = [await publisher.publish(f"code-v{n}") for n in range(4)]
    backend.open.clear()
    asked = asyncio.create_task(only(handler, request(adapter=refs[0])))
    while not backend.asked:
        await asyncio.sleep(0)
    newer = asyncio.create_task(announce(announcements, refs[1:]))
    await asyncio.sleep(0.02)
    assert "code-v0" in backend.loaded
    backend.open.set()
    assert (await asked).adapter == "code-v0"
    await newer
    assert backend.loaded.keys() == {"code-v2", "code-v3"}


async def announce(handler, refs):
    for cycle, ref in enumerate(refs):
        await handler.handle(trained(ref, cycle))


async def test_an_adapter_that_the_server_lost_is_given_to_it_again(handler, backend, publisher):
    ref = await publisher.publish()
    await handler.handle(request(adapter=ref))
    backend.loaded.clear()
    assert (await only(handler, request(adapter=ref))).adapter == "code-v1"


async def test_an_unusable_adapter_is_an_error_and_never_the_base(handler, backend, publisher):
    ref = await publisher.publish(base_sha256="f" * 64)
    with pytest.raises(AdapterUnusable):
        await handler.handle(request(adapter=ref))
    assert not backend.asked


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"base_model": "another"}, InvalidInput),
        ({"protocol": "nothing"}, NotFound),
        ({"generation": GenerationSpec(template="nothing")}, NotFound),
    ],
)
async def test_a_request_that_can_never_be_met_is_a_permanent_error(changes, error, handler):
    with pytest.raises(error) as refusal:
        await handler.handle(request(**changes))
    assert not refusal.value.retryable


async def test_a_new_adapter_is_activated(announcements, publisher, manager):
    ref = await publisher.publish()
    expected = [AdapterActivated(run_id="run", adapter="code-v1", replica="replica-1")]
    assert await announcements.handle(trained(ref)) == expected
    assert await announcements.handle(trained(ref)) == expected, "said twice, the same message"
    assert manager.active == ["code-v1"]


async def test_a_bad_adapter_is_rejected_with_its_reason(announcements, publisher, manager):
    await announcements.handle(trained(await publisher.publish("code-v1"), 1))
    (rejected,) = await announcements.handle(trained(await publisher.publish("code-v2", config={"r": 4}), 2))
    assert isinstance(rejected, AdapterRejected)
    assert rejected.adapter == "code-v2"
    assert "r: " in rejected.reason
    assert manager.active == ["code-v1"]


async def test_an_announcement_that_a_newer_one_overtook_is_ignored(announcements, publisher, manager):
    old, new = [await publisher.publish(name) for name in ("code-v1", "code-v2")]
    await announcements.handle(trained(new, 2))
    assert await announcements.handle(trained(old, 1)) == []
    assert manager.active == ["code-v2"]


async def test_where_the_answer_may_not_be_as_long_a_shorter_one_is_asked_for(handler, backend):
    backend.room = 100
    generated = await only(handler, request(generation=GenerationSpec(max_new_tokens=500)))
    assert generated.problem == ""
    assert [decoding.max_new_tokens for _, decoding, _, _ in backend.asked] == [64]


async def test_a_prompt_that_leaves_no_room_at_all_is_a_candidate_without_code(handler, backend):
    backend.room = 10
    generated = await only(handler, request())
    assert generated.code.text == ""
    assert "refuses the request" in generated.problem
    assert "at most 10" in generated.problem
    assert generated.usage.completion_tokens == 0


async def test_what_an_answer_costs_is_by_the_prices(backend, manager, blobs):
    handler = GenerateHandler(backend, manager, blobs, Prices(prompt=2.0, completion=10.0))
    generated = await only(handler, request())
    assert generated.usage.cost == pytest.approx((3 * 2.0 + 5 * 10.0) / 1e6)
