"""Requests that end while the database is asked, as those of clients that go: the driver's pool stays whole."""

import asyncio
import gc
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import anyio
import pytest

from archloop.errors import Stuck, Unavailable
from services.registry.records import CandidateQuery
from services.registry.stores import mongo_client
from services.registry.stores.mongo import MongoStore

pytestmark = pytest.mark.timeout(60)

VERBS: dict[str, Callable[[MongoStore], Awaitable[object]]] = {
    "runs": lambda store: store.runs(),
    "candidates": lambda store: store.candidates(CandidateQuery(run_id="none")),
    "architectures": lambda store: store.architectures(limit=10),
    "events": lambda store: store.events(),
    "evaluation": lambda store: store.evaluation("0" * 64, "0" * 64),
    "last_event": lambda store: store.last_event(),
}


@pytest.fixture
async def store(mongo_url: str) -> AsyncIterator[MongoStore]:
    store = await MongoStore.open(mongo_url, f"cancelled-{uuid.uuid4().hex[:8]}")
    yield store
    await store.close()


async def left(ask: Awaitable[object], after: int) -> None:
    """Cancelled again and again until it ends, which is what a task group does with a request whose client went."""
    with anyio.CancelScope() as scope:
        asyncio.get_running_loop().call_later(0.002 * after, scope.cancel)
        with suppress(Unavailable):  # a busy machine's connections may take too long
            await ask


async def answered(ask: Callable[[], Awaitable[object]]) -> None:
    """A pool that was paused, because a connection failed, gets over it; one that is locked does not."""
    async with asyncio.timeout(30):
        while True:
            with suppress(Unavailable):
                await ask()
                return
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("name", VERBS)
async def test_a_verb_that_many_left_is_answered_afterwards(store: MongoStore, name: str) -> None:
    ask = VERBS[name]
    for _ in range(2):
        await asyncio.gather(*(left(ask(store), number) for number in range(80)))
    await answered(lambda: ask(store))
    await answered(store.ping)


async def test_what_was_begun_is_recorded_though_nobody_waits_for_it(store: MongoStore) -> None:
    with anyio.CancelScope() as scope:
        asyncio.get_running_loop().call_soon(scope.cancel)
        await store.open_cycle("run", 0, None, datetime.now(UTC))
    assert scope.cancelled_caught
    async with asyncio.timeout(30):
        while not await store.cycles("run"):
            await asyncio.sleep(0.01)


async def test_a_driver_that_gives_nobody_a_connection_is_told_from_a_server_that_is_away(
    mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo_client, "_PING_S", 0.5)
    silent = SimpleNamespace(admin=SimpleNamespace(command=lambda _: asyncio.sleep(60)))
    lost = cast("mongo_client.Client", silent)
    with pytest.raises(Stuck, match="not this process"):
        await mongo_client.reached(lost, mongo_url)
    with pytest.raises(Unavailable) as away:
        await mongo_client.reached(lost, "mongodb://127.0.0.1:1/")
    assert not isinstance(away.value, Stuck)


async def test_what_fails_after_its_caller_has_left_is_nobodys_news() -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    failing = asyncio.Event()

    async def fails() -> None:
        await failing.wait()
        raise Unavailable("the database is away")

    asked = asyncio.create_task(mongo_client._shielded(fails)())
    await asyncio.sleep(0)
    asked.cancel()
    with suppress(asyncio.CancelledError):
        await asked
    failing.set()
    while mongo_client._going_on:
        await asyncio.sleep(0)
    gc.collect()
    assert told == []
