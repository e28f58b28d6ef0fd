"""What is particular to the store on MongoDB: no transactions, other writers, and a server that may be away."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import AutoReconnect

from archloop.contracts.messages import (
    AdapterTrained,
    CandidateEvaluatedOk,
    CandidateGenerated,
    CandidateJudged,
    GenerationRequested,
    RunFinished,
    RunRequested,
)
from archloop.contracts.spec import GenerationSpec, NoveltySpec, RunSpec
from archloop.contracts.values import AdapterRef, BlobRef, Evaluation, Outcome, SourceCode, Verdict
from archloop.errors import InvalidInput, Misconfigured, Unavailable
from services.registry.records import CandidateQuery, Recorded
from services.registry.stores.mongo import MongoStore
from tests.servers.mongo import mongo_server
from tests.servers.process import free_ports, required

AT = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = RunSpec(cycles=2, candidates=1, protocol="digits")
PLACE = {"run_id": "r", "cycle": 0, "index": 0}
REQUESTED = RunRequested(run_id="r", spec=SPEC)
CODE = SourceCode.inline("code")
GENERATED = CandidateGenerated(**PLACE, code=CODE, prompt="write", protocol="digits")
EVALUATION = Evaluation(
    outcome=Outcome.OK,
    stage="train",
    protocol="digits",
    protocol_sha256="a" * 64,
    code_sha256=CODE.sha256,
    accuracy=0.5,
    sandbox_level="namespaces",
)
EVALUATED = CandidateEvaluatedOk(**PLACE, code=CODE, evaluation=EVALUATION)
JUDGED = CandidateJudged(**PLACE, verdict=Verdict.NOVEL, similarity=0.25, threshold=0.85, family="plain")
MANIFEST = BlobRef(key="m", sha256="c" * 64, bytes=9)
ADAPTER = AdapterRef(adapter="r-c0", manifest=MANIFEST, base_model="tiny")
TRAINED = AdapterTrained(run_id="r", cycle=0, adapter=ADAPTER, pair_count=4)
FINISHED = RunFinished(run_id="r", reason="completed")

Opener = Callable[[], Awaitable[MongoStore]]
Act = Callable[[MongoStore], Awaitable[Any]]


@pytest.fixture
async def opener(mongo_url: str) -> AsyncIterator[Opener]:
    """Opens one more store on the test's own database."""
    name, stores = f"t-{uuid.uuid4().hex}", []

    async def opened() -> MongoStore:
        stores.append(await MongoStore.open(mongo_url, name))
        return stores[-1]

    yield opened
    for store in stores:
        await store.close()


@pytest.fixture
async def store(opener: Opener) -> MongoStore:
    return await opener()


def requested(index: int) -> GenerationRequested:
    return GenerationRequested(
        run_id="r",
        cycle=0,
        index=index,
        seed=1,
        protocol="digits",
        generation=GenerationSpec(),
        novelty=NoveltySpec(),
        base_model="tiny",
    )


async def everything(store: MongoStore) -> tuple[Any, ...]:
    return (
        await store.run("r"),
        await store.cycles("r"),
        await store.candidates(CandidateQuery()),
        await store.source(GENERATED.candidate_id),
        await store.architectures(),
        await store.adapters(),
        await store.events(),
    )


class Killed:
    """Cuts the connection at one write, before or after it is made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes, self.at, self.done = 0, 0, False
        for name in ("insert_one", "update_one", "update_many"):
            monkeypatch.setattr(AsyncCollection, name, self.wrapped(getattr(AsyncCollection, name)))

    def wrapped(self, method: Any) -> Any:
        async def write(*arguments: Any, **options: Any) -> Any:
            self.writes += 1
            fatal = self.writes == self.at
            if fatal and not self.done:
                raise AutoReconnect("killed")
            result = await method(*arguments, **options)
            if fatal:
                raise AutoReconnect("killed")
            return result

        return write


def life() -> list[Act]:
    """A run from its request to its end."""
    at = [AT + timedelta(seconds=i) for i in range(8)]
    return [
        lambda s: s.record(REQUESTED, at[0]),
        lambda s: s.open_cycle("r", 0, None, at[1]),
        lambda s: s.record(GENERATED, at[2]),
        lambda s: s.record(EVALUATED, at[3]),
        lambda s: s.record(JUDGED, at[4]),
        lambda s: s.close_cycle("r", 0, [JUDGED.candidate_id], at[5]),
        lambda s: s.record(TRAINED, at[6]),
        lambda s: s.record(FINISHED, at[7]),
    ]


async def lived(store: MongoStore) -> list[Any]:
    """Each act once more if it was cut short, as a message is that was not acknowledged."""
    results = []
    for act in life():
        try:
            results.append(await act(store))
        except Unavailable:
            results.append(await act(store))
    return results


@pytest.mark.parametrize("done", [False, True], ids=["before a write", "after a write"])
async def test_a_kill_at_any_write_changes_nothing_in_the_end(
    mongo_url: str, store: MongoStore, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    killed = Killed(monkeypatch)
    killed.done = done
    said = await lived(store)
    expected, writes = await everything(store), killed.writes
    assert said[4] == Recorded(new=True, complete=True)
    assert writes >= 20
    for at in range(1, writes + 1):
        again = await MongoStore.open(mongo_url, f"t-{uuid.uuid4().hex}")
        killed.at, killed.writes = at, 0
        said = await lived(again)
        killed.at = 0
        assert await everything(again) == expected, f"killed at write {at}"
        assert said[4].complete, f"killed at write {at}"
        await again.close()


async def test_a_cycle_that_was_half_closed_is_closed_by_its_first_decision(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for act in life()[:5]:
        await act(store)
    with monkeypatch.context() as patched:
        killed = Killed(patched)
        killed.at = 2
        with pytest.raises(Unavailable):
            await store.close_cycle("r", 0, [JUDGED.candidate_id], AT)
    assert (await store.cycles("r"))[0].closed is None
    assert (await store.record(JUDGED, AT)).complete
    await store.close_cycle("r", 0, [], AT + timedelta(seconds=9))
    assert (await store.cycles("r"))[0].closed == AT
    assert [a.admitted for a in (await store.architectures()).items] == [AT]


async def test_two_stores_at_once_have_one_effect_and_one_log_without_gaps(opener: Opener) -> None:
    first, second = await opener(), await opener()
    await first.record(REQUESTED, AT)
    await second.open_cycle("r", 0, None, AT)
    messages = [m for n in range(20) for m in (GENERATED, EVALUATED, requested(n), JUDGED)]
    await asyncio.gather(*(s.record(m, AT) for s in (first, second) for m in messages))
    assert (await first.candidates(CandidateQuery())).total == 1
    assert (await second.cycles("r"))[0].settled == 1
    events = await first.events()
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert len({e.id for e in events}) == len(events) == 24


async def test_who_reads_while_others_write_misses_no_event(opener: Opener) -> None:
    reader, writers = await opener(), [await opener() for _ in range(3)]
    await reader.record(REQUESTED, AT)
    writing = asyncio.gather(*(w.record(requested(n), AT) for n in range(60) for w in (writers[n % 3],)))
    read = []
    while len(read) < 61:
        read += await reader.events(read[-1].seq if read else 0, limit=7)
    await writing
    assert read == await reader.events()


async def test_numbers_text_and_sizes_that_mongodb_has_not_are_refused_whole(store: MongoStore) -> None:
    await store.record(REQUESTED, AT)
    await store.open_cycle("r", 0, None, AT)
    before = await store.events()
    number = EVALUATED.model_copy(update={"evaluation": EVALUATION.model_copy(update={"parameters": 2**70})})
    size = GENERATED.model_copy(update={"prompt": "x" * 5_000_000})
    for message in (number, size):
        with pytest.raises(InvalidInput):
            await store.record(message, AT)
    assert (await store.candidates(CandidateQuery())).total == 0
    assert await store.events() == before


async def test_a_database_of_a_newer_archloop_is_left_alone(mongo_url: str) -> None:
    name = f"t-{uuid.uuid4().hex}"
    async with AsyncMongoClient(mongo_url) as newer:
        await newer[name].meta.insert_one({"_id": "schema", "version": 99})
    with pytest.raises(InvalidInput, match="schema 99"):
        await MongoStore.open(mongo_url, name)


@pytest.mark.parametrize("user", ["archloop", "nobody"])
async def test_a_wrong_password_is_a_permanent_error_that_names_the_setting_alone(mongo_url: str, user: str) -> None:
    host = mongo_url.partition("@")[2]
    with pytest.raises(Misconfigured, match=r"ARCHLOOP_REGISTRY_MONGO_URL.*refuses this user") as raised:
        await MongoStore.open(f"mongodb://{user}:hunter2@{host}", wait_s=1)
    assert "hunter2" not in str(raised.value)


async def test_a_server_that_is_not_there_is_a_retryable_error_that_names_the_host() -> None:
    (port,) = free_ports(1)
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}") as raised:
        await MongoStore.open(f"mongodb://user:hunter2@127.0.0.1:{port}", wait_s=0.2)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("url", ["mongodb://user:hunter2/@host", "http://user:hunter2@host", "hunter2", "mongodb://"])
async def test_a_url_that_cannot_be_right_names_the_setting_and_is_not_repeated(url: str) -> None:
    with pytest.raises(Misconfigured, match="ARCHLOOP_REGISTRY_MONGO_URL") as raised:
        await MongoStore.open(url, wait_s=0.2)
    assert "hunter2" not in str(raised.value)


async def test_a_server_that_goes_away_is_a_retryable_error(tmp_path: Path) -> None:
    with required("a MongoDB server"), mongo_server(tmp_path) as url:
        store = await MongoStore.open(url, wait_s=0.3)
        await store.record(REQUESTED, AT)
    for verb in (store.record(GENERATED, AT), store.run("r"), store.candidates(CandidateQuery()), store.ping()):
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
            await verb
    await store.close()
