"""What every store promises, whichever database is below it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from archloop import remembering
from archloop.blobs.directory import DirectoryBlobs
from archloop.contracts.base import Message, candidate_id
from archloop.contracts.messages import (
    BOOTSTRAP,
    AdapterActivated,
    AdapterTrained,
    CandidateEvaluatedFailed,
    CandidateEvaluatedOk,
    CandidateGenerated,
    CandidateJudged,
    CandidateLost,
    CandidateSubmitted,
    GenerationRequested,
    RunFinished,
    RunRequested,
)
from archloop.contracts.spec import GenerationSpec, NoveltySpec, RunSpec
from archloop.contracts.values import (
    AdapterRef,
    BlobRef,
    Evaluation,
    Family,
    Outcome,
    Parent,
    SourceCode,
    Usage,
    Verdict,
)
from archloop.errors import Conflict, InvalidInput, NotFound
from services.registry.control.memory.recollection import recollection
from services.registry.records import CandidateQuery, Recorded
from services.registry.stores.mongo import MongoStore
from services.registry.stores.port import Store
from services.registry.stores.sqlite import SqliteStore

RUN = "r1"
AT = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = RunSpec(cycles=2, candidates=2, protocol="digits")
MANIFEST = BlobRef(key="adapters/r1-c0/manifest.json", sha256="c" * 64, bytes=9)
ADAPTER = AdapterRef(adapter="r1-c0", manifest=MANIFEST, base_model="tiny")

Opener = Callable[[], Awaitable[Store]]


def sqlite(request: pytest.FixtureRequest) -> Opener:
    folder = request.getfixturevalue("tmp_path")

    async def opened() -> Store:
        return SqliteStore(folder / "registry.sqlite")

    return opened


def mongo(request: pytest.FixtureRequest) -> Opener:
    url, name = request.getfixturevalue("mongo_url"), f"t-{uuid.uuid4().hex}"

    async def opened() -> Store:
        return await MongoStore.open(url, name)

    return opened


@pytest.fixture(params=[sqlite, mongo])
def opener(request: pytest.FixtureRequest) -> Opener:
    return request.param(request)


@pytest.fixture
async def store(opener: Opener) -> AsyncIterator[Store]:
    store = await opener()
    await store.record(RunRequested(run_id=RUN, spec=SPEC), AT)
    await store.open_cycle(RUN, 0, None, AT)
    yield store
    await store.close()


def place(index: int = 0, cycle: int = 0) -> dict[str, Any]:
    return {"run_id": RUN, "cycle": cycle, "index": index}


def generated(index: int = 0, code: str = "code", cycle: int = 0) -> CandidateGenerated:
    usage = Usage(prompt_tokens=3, completion_tokens=5, seconds=0.5)
    return CandidateGenerated(
        **place(index, cycle), code=SourceCode.inline(code), prompt="write", protocol="digits", usage=usage
    )


def measured(code: str, accuracy: float | None) -> Evaluation:
    return Evaluation(
        outcome=Outcome.OK if accuracy is not None else Outcome.TIMEOUT,
        stage="train",
        protocol="digits",
        protocol_sha256="a" * 64,
        code_sha256=SourceCode.inline(code).sha256,
        accuracy=accuracy,
        sandbox_level="namespaces",
        loss_curve=(2.0, 1.0),
    )


def evaluated(index: int = 0, code: str = "code", accuracy: float | None = 0.5, cycle: int = 0) -> Message:
    kind = CandidateEvaluatedFailed if accuracy is None else CandidateEvaluatedOk
    return kind(**place(index, cycle), code=SourceCode.inline(code), evaluation=measured(code, accuracy))


def judged(
    index: int = 0, verdict: Verdict = Verdict.NOVEL, family: Family = Family.PLAIN, cycle: int = 0
) -> CandidateJudged:
    return CandidateJudged(**place(index, cycle), verdict=verdict, similarity=0.25, threshold=0.85, family=family)


def lost(index: int = 0, step: Any = "generation") -> CandidateLost:
    return CandidateLost(**place(index), step=step, asked=3)


async def record(store: Store, *messages: Message) -> list[Recorded]:
    return [await store.record(m, AT + timedelta(seconds=i)) for i, m in enumerate(messages, 1)]


async def of(store: Store, index: int = 0) -> Any:
    candidate = await store.candidate(candidate_id(RUN, 0, index))
    assert candidate is not None
    return candidate


async def test_a_candidate_is_what_its_messages_said(store: Store) -> None:
    await record(store, generated(), evaluated(), judged())
    candidate = await of(store)
    assert (candidate.run_id, candidate.cycle, candidate.index) == (RUN, 0, 0)
    assert candidate.code_sha256 == SourceCode.inline("code").sha256
    assert candidate.usage == Usage(prompt_tokens=3, completion_tokens=5, seconds=0.5)
    assert candidate.evaluation == measured("code", 0.5)
    assert (candidate.judgement.verdict, candidate.judgement.similarity) == (Verdict.NOVEL, 0.25)
    times = (candidate.generated, candidate.evaluated, candidate.judged)
    assert times == tuple(AT + timedelta(seconds=i) for i in (1, 2, 3))
    source = await store.source(candidate.candidate_id)
    assert source is not None
    assert (source.code.text, source.prompt) == ("code", "write")


async def test_the_first_word_on_each_step_stands(store: Store) -> None:
    await record(store, generated(), evaluated(), judged())
    before = await of(store), await store.source(candidate_id(RUN, 0, 0))
    repeated = await record(
        store,
        generated(code="other"),
        evaluated(accuracy=0.9),
        evaluated(accuracy=None),
        judged(family="dense"),
        lost(),
    )
    assert (await of(store), await store.source(candidate_id(RUN, 0, 0))) == before
    assert (await store.candidates(CandidateQuery())).total == 1
    assert repeated[0].new is repeated[1].new is False


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
async def test_messages_may_come_in_any_order(store: Store, order: tuple[int, ...]) -> None:
    messages = [generated(), evaluated(), judged()]
    await record(store, *(messages[i] for i in order))
    candidate = await of(store)
    assert candidate.awaits is None
    assert candidate.novel
    assert candidate.generated is not None


async def test_the_evaluated_code_stands_where_the_answer_of_the_llm_comes_later(store: Store) -> None:
    await record(store, evaluated(code="first"), judged())
    assert (await of(store)).awaits == "generation"
    assert (await store.cycles(RUN))[0].settled == 0
    await record(store, generated(code="again, differently"))
    source = await store.source(candidate_id(RUN, 0, 0))
    assert source is not None
    assert (source.code.text, source.prompt) == ("first", "write")
    assert (await of(store)).awaits is None
    assert (await store.cycles(RUN))[0].settled == 1


async def test_an_evaluation_of_other_code_says_nothing(store: Store) -> None:
    await record(store, generated(code="mine"), evaluated(code="other"))
    assert (await of(store)).evaluation is None
    await record(store, evaluated(code="mine"))
    assert (await of(store)).evaluation == measured("mine", 0.5)


async def test_the_answer_that_settles_the_cycle_says_so(store: Store) -> None:
    recorded = await record(store, generated(0), generated(1), evaluated(0), evaluated(1, accuracy=None), judged(0))
    assert [r.complete for r in recorded] == [False, False, False, False, True]
    assert (await store.cycles(RUN))[0].settled == 2


async def test_a_repeated_settling_answer_says_so_again_until_the_cycle_is_closed(store: Store) -> None:
    await record(store, generated(0), generated(1), evaluated(0), evaluated(1, accuracy=None), judged(0))
    assert (await record(store, judged(0))) == [Recorded(new=False, complete=True)]
    await store.close_cycle(RUN, 0, [candidate_id(RUN, 0, 0)], AT)
    assert (await record(store, judged(0))) == [Recorded(new=False, complete=False)]


@pytest.mark.parametrize("step", ["generation", "evaluation", "judgement"])
async def test_a_lost_candidate_is_settled_and_hears_nothing_more(store: Store, step: str) -> None:
    earlier = {"generation": [], "evaluation": [generated()], "judgement": [generated(), evaluated()]}[step]
    await record(store, *earlier, lost(step=step))
    before = await of(store)
    assert (before.awaits, before.lost.step, before.lost.asked) == (None, step, 3)
    await record(store, generated(), evaluated(), judged())
    assert await of(store) == before
    assert (await store.cycles(RUN))[0].settled == 1


async def test_what_has_answered_cannot_be_lost(store: Store) -> None:
    await record(store, generated(), lost(step="generation"), evaluated(), lost(step="evaluation"))
    await record(store, judged(), lost(step="judgement"))
    assert (await of(store)).lost is None


async def test_closing_admits_once(store: Store) -> None:
    await record(store, generated(0), evaluated(0), judged(0, family="dense"), generated(1), evaluated(1), judged(1))
    first, second = candidate_id(RUN, 0, 0), candidate_id(RUN, 0, 1)
    await store.close_cycle(RUN, 0, [first], AT)
    await store.close_cycle(RUN, 0, [first, second], AT + timedelta(seconds=9))
    architectures = (await store.architectures()).items
    assert [(a.candidate_id, a.accuracy, a.family, a.admitted) for a in architectures] == [(first, 0.5, "dense", AT)]
    assert (await of(store, 0)).admitted
    assert not (await of(store, 1)).admitted
    assert (await store.cycles(RUN))[0].closed == AT


async def test_a_cycle_opens_once(store: Store) -> None:
    await store.open_cycle(RUN, 1, ADAPTER, AT)
    await store.open_cycle(RUN, 1, None, AT + timedelta(seconds=9))
    cycle = (await store.cycles(RUN))[1]
    assert (cycle.adapter, cycle.opened) == (ADAPTER, AT)


async def test_a_run_is_requested_once_and_by_one_spec(store: Store) -> None:
    assert (await record(store, RunRequested(run_id=RUN, spec=SPEC)))[0].new is False
    with pytest.raises(Conflict, match=RUN):
        await record(store, RunRequested(run_id=RUN, spec=SPEC.model_copy(update={"seed": 7})))
    run = await store.run(RUN)
    assert run is not None
    assert (run.spec, run.created, run.status) == (SPEC, AT, "running")


async def test_a_run_ends_once(store: Store) -> None:
    await record(store, RunFinished(run_id=RUN, reason="completed"), RunFinished(run_id=RUN, reason="no"))
    run = await store.run(RUN)
    assert run is not None
    assert (run.status, run.reason, run.finished) == ("finished", "completed", AT + timedelta(seconds=1))
    assert await store.unfinished() == []
    assert (await store.runs()).total == 1


async def test_an_adapter_is_recorded_once_with_its_parent(store: Store) -> None:
    await store.open_cycle(RUN, 1, ADAPTER, AT)
    trained = AdapterTrained(run_id=RUN, cycle=1, adapter=ADAPTER, pair_count=4, loss_curve=(1.0, 0.5), seconds=2.5)
    await record(store, trained, trained.model_copy(update={"pair_count": 9}))
    (adapter,) = await store.adapters(RUN)
    assert (adapter.parent, adapter.pair_count, adapter.loss_curve) == ("r1-c0", 4, (1.0, 0.5))
    assert await store.adapters("other") == []


async def test_the_adapter_that_a_run_begins_with_needs_a_run_and_no_cycle(store: Store) -> None:
    start = AdapterTrained(run_id=RUN, cycle=BOOTSTRAP, adapter=ADAPTER, pair_count=3)
    with pytest.raises(NotFound):
        await store.record(start.model_copy(update={"run_id": "nobody"}), AT)
    await store.record(start, AT)
    (adapter,) = await store.adapters(RUN)
    assert (adapter.cycle, adapter.parent, adapter.pair_count) == (BOOTSTRAP, None, 3)


@pytest.mark.parametrize("message", [generated(cycle=1), evaluated(cycle=1), judged(cycle=1)])
async def test_a_candidate_of_no_open_cycle_is_refused_whole(store: Store, message: Message) -> None:
    before = await store.events()
    with pytest.raises(NotFound, match="cycle named 'r1/1'"):
        await record(store, message)
    assert await store.events() == before


async def test_submissions_stand_outside_of_the_run_that_they_share_a_name_with(store: Store) -> None:
    code = SourceCode.inline("theirs")
    submitted = CandidateSubmitted(run_id=RUN, submission="s", code=code, protocol="digits")
    answer = CandidateEvaluatedFailed(run_id=RUN, submission="s", code=code, evaluation=measured("theirs", None))
    recorded = await record(store, submitted, answer)
    assert [r.complete for r in recorded] == [False, False]
    assert (await store.cycles(RUN))[0].settled == 0
    candidate = await store.candidate(submitted.candidate_id)
    assert candidate is not None
    assert (candidate.cycle, candidate.submission, candidate.awaits) == (None, "s", None)


CODES = (
    "class Net: x = nn.Conv2d(3, 8)",
    "class Net: x = nn.Conv1d(3); drop_path = 0.1",
    "def forward(self, eingabe_größe): return eingabe_größe",
    "x = 'it''s \"quoted\" AND NOT near'",
)
ERRORS = ("", "mat1 and mat2 shapes", "CUDA out of memory", "NameError: name 'x' is not defined (line 4)")
# Of which candidates which words are found, in code or errors.
SEARCHES: dict[tuple[str, str], set[int]] = {
    ("conv2d", ""): {0},
    ("CONV", ""): {0, 1},
    ("conv net", ""): {0, 1},
    ("nn.Conv1d(3)", ""): {1},
    ("onv", ""): set(),
    ("drop_path", ""): {1},
    ("path", ""): set(),
    ("GRÖSSE", ""): set(),
    ("eingabe_größe", ""): {2},
    ("AND NOT", ""): {3},
    ('"quoted"', ""): {3},
    ("* OR (", ""): set(),
    ("???", ""): {0, 1, 2, 3},
    ("", "mat1"): {1},
    ("", "memory CUDA"): {2},
    ("", "x"): {3},
    ("net", "shapes"): {1},
    ("net", "memory"): set(),
    ("", "line 4)"): {3},
    ("conv2d'; DROP TABLE found; --", ""): set(),
}  # fmt: skip


@pytest.mark.parametrize("searched", SEARCHES)
async def test_candidates_are_found_by_words_of_code_and_error(store: Store, searched: tuple[str, str]) -> None:
    for index, (code, error) in enumerate(zip(CODES, ERRORS, strict=True)):
        told = measured(code, None).model_copy(update={"detail": error})
        failed = CandidateEvaluatedFailed(**place(index), code=SourceCode.inline(code), evaluation=told)
        await record(store, generated(index, code), failed, failed)
    code, error = searched
    found = await store.candidates(CandidateQuery(run_id=RUN, code=code, error=error))
    assert {each.index for each in found.items} == SEARCHES[searched]
    assert found.total == len(SEARCHES[searched])


async def test_edits_are_found_by_their_parent_and_events_by_their_type(store: Store) -> None:
    parent = candidate_id(RUN, 0, 0)
    edit = CandidateGenerated(**place(1), code=SourceCode.inline("x"), prompt="p", protocol="digits", parent=parent)
    await record(store, generated(0), edit, evaluated(0), evaluated(1, "x"))
    found = await store.candidates(CandidateQuery(run_id=RUN, parent=parent))
    assert [each.index for each in found.items] == [1]
    types = (evaluated().type, edit.type)
    said = [event.type for event in await store.events(run_id=RUN, types=types)]
    assert said == [edit.type, edit.type, evaluated().type, evaluated().type]
    assert await store.events(run_id="other", types=types) == []


async def test_queries_filter_sort_and_page(store: Store) -> None:
    await store.open_cycle(RUN, 1, None, AT)
    for cycle in (0, 1):
        await record(store, generated(0, "a", cycle), evaluated(0, "a", 0.3 + cycle / 2, cycle), judged(0, cycle=cycle))
        await record(store, generated(1, "b", cycle), evaluated(1, "b", None, cycle))

    async def found(**query: Any) -> list[tuple[int, int]]:
        page = await store.candidates(CandidateQuery(run_id=RUN, **query))
        return [(c.cycle, c.index) for c in page.items]

    assert await found() == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert await found(cycle=1) == [(1, 0), (1, 1)]
    assert await found(outcome=Outcome.TIMEOUT) == [(0, 1), (1, 1)]
    assert await found(verdict=Verdict.NOVEL) == await found(family="plain") == [(0, 0), (1, 0)]
    assert await found(min_accuracy=0.8) == [(1, 0)]
    assert await found(sort="-accuracy") == [(1, 0), (0, 0), (0, 1), (1, 1)]
    assert await found(sort="accuracy") == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert await found(sort="-index") == [(1, 1), (1, 0), (0, 1), (0, 0)]
    assert await found(offset=1, limit=2) == [(0, 1), (1, 0)]
    assert (await store.candidates(CandidateQuery(run_id=RUN, offset=1, limit=2))).total == 4
    assert (await store.candidates(CandidateQuery(run_id="other"))).total == 0


@pytest.mark.parametrize("about", ["the recorded code", "no code that is told", "other code"])
async def test_a_verdict_on_other_code_says_nothing(store: Store, about: str) -> None:
    told = {"the recorded code": SourceCode.inline("code").sha256, "other code": SourceCode.inline("b").sha256}.get(
        about
    )
    await record(store, generated(), evaluated(), judged().model_copy(update={"code_sha256": told}))
    assert ((await of(store)).judgement is None) is (about == "other code")


async def test_two_requests_of_one_name_at_once_leave_one_run(store: Store) -> None:
    specs = [SPEC.model_copy(update={"seed": seed}) for seed in range(6)]
    requests = [store.record(RunRequested(run_id="raced", spec=spec), AT) for spec in specs]
    ended = await asyncio.gather(*requests, return_exceptions=True)
    run = await store.run("raced")
    assert run is not None
    assert [isinstance(end, Conflict) for end in ended] == [spec != run.spec for spec in specs]


async def test_the_uid_of_a_run_is_the_same_for_as_long_as_it_is_on_record(opener: Opener, store: Store) -> None:
    first = await store.run(RUN)
    again = await (await opener()).run(RUN)
    assert first is not None
    assert again is not None
    assert first.uid == again.uid != first.model_copy(update={"created": AT + timedelta(seconds=1)}).uid


async def test_an_evaluation_is_found_by_code_and_protocol(store: Store) -> None:
    await record(store, generated(0), evaluated(0, accuracy=0.5), generated(1), evaluated(1, accuracy=0.6))
    code = SourceCode.inline("code").sha256
    assert await store.evaluation(code, "a" * 64) == measured("code", 0.5)
    assert await store.evaluation(code, "b" * 64) is None
    assert await store.evaluation("0" * 64, "a" * 64) is None


async def test_a_candidate_and_its_architecture_name_the_parent_that_it_is_an_edit_of(store: Store) -> None:
    first, second = candidate_id(RUN, 0, 0), candidate_id(RUN, 0, 1)
    edited = generated(1).model_copy(update={"parent": first})
    await record(store, generated(0), evaluated(0), judged(0), edited, evaluated(1), judged(1))
    await record(store, generated(1).model_copy(update={"parent": "another"}))
    assert [(await of(store, index)).parent for index in (0, 1)] == [None, first]
    await store.close_cycle(RUN, 0, [first, second], AT)
    assert [a.parent for a in (await store.architectures()).items] == [None, first]


async def test_an_architecture_has_the_cost_that_was_measured(store: Store) -> None:
    told = evaluated(0)
    counted = told.evaluation.model_copy(update={"parameters": 7, "flops": 9})
    await record(store, generated(0), told.model_copy(update={"evaluation": counted}), judged(0))
    await store.close_cycle(RUN, 0, [candidate_id(RUN, 0, 0)], AT)
    assert [(a.parameters, a.flops) for a in (await store.architectures()).items] == [(7, 9)]


async def test_the_event_log_has_no_code_of_a_parent(store: Store) -> None:
    shown = Parent(candidate="c", code=SourceCode.inline("class Net"), accuracy=0.5)
    asked = GenerationRequested(
        **place(),
        seed=1,
        protocol="digits",
        generation=GenerationSpec(mode="edit"),
        novelty=NoveltySpec(),
        base_model="tiny",
        parent=shown,
    )
    await record(store, asked)
    assert (await store.events())[-1].data["parent"] == {
        "candidate": "c",
        "code": {"sha256": shown.code.sha256, "blob": None},
        "accuracy": 0.5,
    }


async def test_the_event_log_has_each_message_once_in_order_without_code(store: Store) -> None:
    await record(store, generated(0), generated(0), AdapterActivated(run_id="other", adapter="a", replica="g"))
    events = await store.events()
    assert [e.type for e in events] == [
        "archloop.run.requested.v1",
        "archloop.candidate.generated.v1",
        "archloop.adapter.activated.v1",
    ]
    assert events[1].data["code"] == {"sha256": SourceCode.inline("code").sha256, "blob": None}
    assert [e.seq for e in events] == sorted({e.seq for e in events})
    assert await store.events(events[0].seq, limit=1) == [events[1]]
    assert await store.events(run_id="other") == [events[2]]
    assert await store.said(generated(0).id)
    assert not await store.said(generated(1).id)


async def test_numbers_that_json_has_not_are_refused_whole(store: Store) -> None:
    bad = measured("code", 0.5).model_copy(update={"loss_curve": (float("nan"),)})
    message = CandidateEvaluatedOk(**place(), code=SourceCode.inline("code"), evaluation=bad)
    with pytest.raises(InvalidInput, match="finite"):
        await record(store, message)
    assert await store.candidate(message.candidate_id) is None


async def test_any_text_comes_back_as_it_went_in(store: Store) -> None:
    text = "💩 \x00 \r\n ' \" \\ \u200b" + "é" * 9
    await record(store, generated(code=text))
    source = await store.source(candidate_id(RUN, 0, 0))
    assert source is not None
    assert source.code.text == text


async def test_code_in_a_blob_is_kept_by_reference(store: Store) -> None:
    code = SourceCode(sha256="d" * 64, blob=BlobRef(key="code/x.py", sha256="d" * 64, bytes=70000))
    await record(store, CandidateGenerated(**place(), code=code, prompt="", protocol="digits"))
    source = await store.source(candidate_id(RUN, 0, 0))
    assert source is not None
    assert source.code == code


async def test_what_is_not_there_is_none(store: Store) -> None:
    assert await store.run("nobody") is None
    assert await store.candidate("nobody") is None
    assert await store.source("nobody") is None
    assert await store.cycles("nobody") == []


async def test_everything_outlives_the_process(opener: Opener, store: Store) -> None:
    await record(store, generated(), evaluated(), judged())
    await store.close_cycle(RUN, 0, [candidate_id(RUN, 0, 0)], AT)
    before = await of(store), await store.cycles(RUN), await store.architectures(), await store.events()
    await store.close()
    again = await opener()
    assert (await of(again), await again.cycles(RUN), await again.architectures(), await again.events()) == before
    await again.close()


async def test_many_writers_at_once_have_one_effect(store: Store) -> None:
    messages = [evaluated(accuracy=a / 100) for a in range(50)] + [generated()] * 50 + [judged()] * 50
    recorded = await asyncio.gather(*(store.record(m, AT) for m in messages))
    assert (await store.candidates(CandidateQuery())).total == 1
    assert (await store.cycles(RUN))[0].settled == 1
    assert sum(r.new for r in recorded) == 3


async def test_a_request_of_ours_is_an_event_and_nothing_else(store: Store) -> None:
    asked = GenerationRequested(
        **place(), seed=1, protocol="digits", generation=GenerationSpec(), novelty=NoveltySpec(), base_model="tiny"
    )
    assert (await record(store, asked))[0].new
    assert (await store.candidates(CandidateQuery())).total == 0
    assert await store.said(asked.id)


async def test_ping_returns_while_the_database_answers(store: Store) -> None:
    await store.ping()


async def test_what_is_remembered_of_closed_cycles_is_the_same_from_either_store(store, tmp_path):
    run, blobs = await store.run(RUN), DirectoryBlobs(tmp_path / "blobs")
    asked = run.model_copy(update={"spec": run.spec.model_copy(update={"generation": GenerationSpec(memory="all")})})
    code = "nn.Conv2d(3, 16, 3), nn.GELU()"
    await record(store, generated(0, code), evaluated(0, code, 0.75), judged(0, family=Family.RESIDUAL))
    await record(store, generated(1, "slow"), evaluated(1, "slow", None))
    await store.close_cycle(RUN, 0, [], AT)
    found = await recollection(store, blobs, asked, 1, {})
    assert remembering.lines([*found.best, *found.worst, *found.failures]) == [
        "accuracy 0.75: residual, 16 channels, 1 Conv2d, GELU, no norm",
        "failed once, timeout in train",
    ]
    assert not any(await recollection(store, blobs, run, 1, {}))
