"""Runs paused, resumed and cancelled at random moments, amid kills: nothing is lost or counted twice."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.registry.records import Candidate, CandidateQuery
from services.registry.stores.mongo import MongoStore
from services.registry.stores.port import Store
from tests.chaos.registries import Registries, until
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.s3 import S3
from tests.unit.registry.world import World, spec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ASKED = spec(cycles=2, candidates=8)
REVERTED = spec(cycles=5, candidates=8)
CANDIDATES = 16
_SOME, _ALL = 6, 50


@pytest.fixture
async def registries(tmp_path: Path, mortal_broker: RabbitMQ, mongo_url: str, s3: S3) -> AsyncIterator[Registries]:
    registries = Registries(tmp_path, mortal_broker, mongo_url, s3, LEASE_S=2, TICK_S=0.3, WINDOW=2)
    registries.generator.seconds = 0.1
    async with registries.others():
        yield registries


class Steered:
    """One run that is steered at a moment of its own: once so many of its candidates were asked for."""

    def __init__(self, registries: Registries, number: int, folder: Path, store: MongoStore) -> None:
        self._registries, self._folder, self._store = registries, folder, store
        self.name, self._rng = f"r-{number}", random.Random(number)
        self._cancelled = number % 3 == 2

    async def go(self) -> None:
        """From the moment to the end, and what is to hold then."""
        moment = self._rng.randrange(1, CANDIDATES)
        await self._until_asked(moment)
        if self._cancelled:
            await self._cancel()
        else:
            await self._pause_and_resume()

    async def _pause_and_resume(self) -> None:
        assert await self._registries.act(self.name, "pause") == 202
        while not await self._at_rest():
            await asyncio.sleep(0.3)
        asked = self._asked()
        assert await self._registries.act(self.name, "pause") == 202
        assert self._asked() == asked, "nothing new while it is paused"
        assert await self._registries.act(self.name, "resume") == 202
        assert await self._ended() == "completed"
        assert [act.act.verb for act in (await self._run()).acts] == ["pause", "resume"]
        assert essence(await self._rows()) == essence(await undisturbed(self._folder, self.name))

    async def _cancel(self) -> None:
        for _ in range(2):
            assert await self._registries.act(self.name, "cancel") == 202
        assert await self._ended() == "cancelled by operate"
        settled = [c for c in await self._rows() if c.awaits is None]
        assert await self._registries.act(self.name, "resume") == 409
        await until(lambda: self._registries.idle(self.name))
        assert [c for c in await self._rows() if c.awaits is None] == settled, "what answers late is not counted"
        calm = essence(await undisturbed(self._folder, self.name))
        for place, found in essence(settled).items():
            assert found[:3] == calm[place][:3], "what was settled is what it would have been"

    async def _at_rest(self) -> bool:
        """Whether all that was asked for is settled: what was under way has ended."""
        rows = await self._rows()
        return len(rows) == self._asked() and all(c.awaits is None for c in rows)

    def _asked(self) -> int:
        return len(self._registries.generator.of(self.name))

    async def _until_asked(self, count: int) -> None:
        while self._asked() < count:
            await asyncio.sleep(0.05)

    async def _ended(self) -> str:
        while (reason := (await self._run()).reason) is None:
            await asyncio.sleep(0.3)
        return reason

    async def _run(self) -> Any:
        run = await self._store.run(self.name)
        assert run is not None
        return run

    async def _rows(self) -> list[Candidate]:
        return list((await self._store.candidates(CandidateQuery(run_id=self.name))).items)


def essence(rows: list[Candidate]) -> dict[tuple[Any, Any], tuple[Any, ...]]:
    """What a run came to, but for times."""
    return {(c.cycle, c.index): (c.code_sha256, c.evaluation, c.judgement, c.adapter, c.admitted, c.lost) for c in rows}


async def undisturbed(folder: Path, name: str) -> list[Candidate]:
    """The same run where nobody does anything."""
    world = World(folder / name)
    await world.request(ASKED, name)
    await world.run_to_end(run_id=name)
    rows = (await world.store.candidates(CandidateQuery(run_id=name))).items
    await world.store.close()
    return list(rows)


async def kill_in_turn(registries: Registries, times: int) -> None:
    """Kill one of the registries and start another, again and again."""
    rng, names = random.Random(times), ["a", "b"]
    for number in range(times):
        await asyncio.sleep(rng.uniform(0.5, 2))
        registries.processes.pop(names.pop(0)).kill()
        names.append(f"after-{number}")
        await registries.start(names[-1])


@pytest.mark.parametrize(
    ("runs", "kills", "seconds"),
    [
        (_SOME, 2, 280),
        pytest.param(_ALL, 10, 1780, marks=[pytest.mark.thorough, pytest.mark.timeout(1800)]),
    ],
    ids=["some", "all"],
)
async def test_a_run_paused_at_any_moment_ends_as_if_nothing_had_been_and_a_cancelled_one_at_once(
    registries: Registries, tmp_path: Path, mongo_url: str, runs: int, kills: int, seconds: int
) -> None:
    await registries.start("a")
    await registries.start("b")
    store = await MongoStore.open(mongo_url, registries.name)
    steered = [Steered(registries, number, tmp_path, store) for number in range(runs)]
    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for each in steered:  # at once, as a run may be over by the time that the last one is asked for
                await registries.request("a", each.name, ASKED)
                group.create_task(each.go())
            group.create_task(kill_in_turn(registries, kills))
    finally:
        await store.close()


async def reverted(folder: Path, name: str, cycle: int) -> tuple[list[Candidate], list[str | None]]:
    """The same run in one process, reverted to the base model in this cycle: its rows, and what wrote its cycles."""
    world = World(folder / name)
    await world.request(REVERTED, name)
    while len(await world.store.cycles(name)) <= cycle:
        await world.deliver()
    await world.act("revert", name, adapter="tiny")
    await world.run_to_end(run_id=name)
    rows, versions = (await world.store.candidates(CandidateQuery(run_id=name))).items, await wrote(world.store, name)
    await world.store.close()
    return list(rows), versions


async def wrote(store: Store, name: str) -> list[str | None]:
    return [each.adapter and each.adapter.adapter for each in await store.cycles(name)]


async def test_a_run_reverted_amid_kills_comes_to_the_same_as_in_one_process(
    registries: Registries, tmp_path: Path, mongo_url: str
) -> None:
    await registries.start("a")
    await registries.start("b")
    store = await MongoStore.open(mongo_url, registries.name)
    await registries.request("a", "back", REVERTED)
    while len(await store.cycles("back")) < 2:
        await asyncio.sleep(0.05)
    assert await registries.act("back", "revert", {"adapter": "back-c9"}) == 422
    assert await registries.act("back", "revert", {"adapter": "tiny"}) == 202
    registries.processes.pop("a").kill()
    assert await registries.ended("b", "back") == "completed"
    (told,) = (await registries.read("b", "/runs/back/acts")).body
    rows = list((await store.candidates(CandidateQuery(run_id="back"))).items)
    calm, versions = await reverted(tmp_path, "back", told["cycle"] - 1)
    assert await wrote(store, "back") == versions
    assert (versions[told["cycle"]], set(versions) > {None}) == (None, True)
    assert essence(rows) == essence(calm)
    await store.close()
