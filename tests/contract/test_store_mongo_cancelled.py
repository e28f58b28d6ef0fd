"""Requests that end while the database is asked, as those of clients that go: the driver's pool stays whole."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import anyio
import pytest

from services.registry.mongo import MongoStore
from services.registry.records import CandidateQuery

pytestmark = pytest.mark.timeout(60)

VERBS: dict[str, Callable[[MongoStore], Awaitable[object]]] = {
    "runs": lambda store: store.runs(),
    "run": lambda store: store.run("none"),
    "candidates": lambda store: store.candidates(CandidateQuery(run_id="none")),
    "architectures": lambda store: store.architectures(limit=10),
    "events": lambda store: store.events(),
    "evaluation": lambda store: store.evaluation("0" * 64, "0" * 64),
    "ping": lambda store: store.ping(),
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
        await ask


@pytest.mark.parametrize("name", VERBS)
async def test_a_verb_that_many_left_is_answered_afterwards(store: MongoStore, name: str) -> None:
    ask = VERBS[name]
    for _ in range(2):
        await asyncio.gather(*(left(ask(store), number) for number in range(120)))
    async with asyncio.timeout(30):
        await ask(store)
        await store.ping()


async def test_what_was_begun_is_recorded_though_nobody_waits_for_it(store: MongoStore) -> None:
    with anyio.CancelScope() as scope:
        asyncio.get_running_loop().call_soon(scope.cancel)
        await store.open_cycle("run", 0, None, datetime.now(UTC))
    assert scope.cancelled_caught
    async with asyncio.timeout(30):
        while not await store.cycles("run"):
            await asyncio.sleep(0.01)
