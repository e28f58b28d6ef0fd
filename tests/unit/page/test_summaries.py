"""How often a run is read that many look at, no more than a tenth of the time and once it has ended, and who waits."""

import asyncio
from pathlib import Path

import pytest

from archloop.errors import Unavailable
from services.registry.page import routing, summaries
from services.registry.page.library import Shelf, StoreLibrary
from services.registry.page.summaries import StillReading, Summaries
from services.registry.statistics.summary import Read, Reading
from tests.unit.page.pages import app_of, client_of
from tests.unit.registry.world import RUN, World, spec


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


async def test_a_run_that_takes_long_is_not_read_all_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reads = Clock(), list[float]()
    read = Reading.read

    async def slowly(self: Reading) -> Read:
        reads.append(clock.now)
        await asyncio.sleep(0)
        clock.now += 2.0
        return await read(self)

    monkeypatch.setattr(summaries, "time", clock)
    monkeypatch.setattr(Reading, "read", slowly)
    world = World(tmp_path)
    await world.request(spec())
    await world.deliver_to_registry()
    library, kept = StoreLibrary(Shelf(world.store, world.blobs, None)), Summaries()

    async def look() -> Read:
        return await kept.read(await library.find(RUN))

    await asyncio.gather(look(), look(), look())
    clock.now += 17.0
    await look()
    assert len(reads) == 1
    clock.now += 2.0
    await look()
    assert len(reads) == 2
    await world.run_to_end()
    assert (await look()).summary.status == "finished"
    await look()
    assert len(reads) == 3
    await world.store.close()


class Gate:
    """Readings that end when they are let through, or fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.open, self.error = 0, asyncio.Event(), None
        read = Reading.read

        async def held(reading: Reading) -> Read:
            self.begun += 1
            await self.open.wait()
            if self.error is not None:
                raise self.error
            return await read(reading)

        monkeypatch.setattr(Reading, "read", held)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


@pytest.fixture
async def begun(tmp_path: Path):
    made = World(tmp_path)
    await made.request(spec())
    await made.deliver_to_registry()
    yield made
    await made.store.close()


async def test_who_has_waited_enough_is_told_so_and_the_reading_goes_on(begun: World, gate: Gate) -> None:
    library, kept = StoreLibrary(Shelf(begun.store, begun.blobs, None)), Summaries()
    for _ in range(3):
        with pytest.raises(StillReading, match=f"candidates of {RUN} are being read"):
            await kept.read(await library.find(RUN), 0.01)
    gate.open.set()
    assert (await kept.read(await library.find(RUN), 5)).summary.run_id == RUN
    assert gate.begun == 1


async def test_what_was_read_before_is_shown_while_it_is_read_again(
    begun: World, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, kept, clock = StoreLibrary(Shelf(begun.store, begun.blobs, None)), Summaries(), Clock()
    monkeypatch.setattr(summaries, "time", clock)
    gate.open.set()
    first = await kept.read(await library.find(RUN))
    gate.open.clear()
    clock.now += 1.0
    assert await kept.read(await library.find(RUN), 0.01) is first
    assert gate.begun == 2
    gate.open.set()
    assert await kept.read(await library.find(RUN)) is not first


async def test_a_reading_that_fails_is_told_to_who_waits_and_tried_again_by_the_next(begun: World, gate: Gate) -> None:
    library, kept = StoreLibrary(Shelf(begun.store, begun.blobs, None)), Summaries()
    gate.error, entry = Unavailable("the database is away"), await library.find(RUN)
    with pytest.raises(StillReading):
        await kept.read(entry, 0.01)
    asked = asyncio.create_task(kept.read(entry))
    await asyncio.sleep(0)  # it joins the reading that is under way
    gate.open.set()
    with pytest.raises(Unavailable):
        await asked
    gate.error = None
    assert (await kept.read(await library.find(RUN))).summary.run_id == RUN
    assert gate.begun == 2


async def test_a_reading_that_failed_when_nobody_waited_is_told_to_the_next(begun: World, gate: Gate) -> None:
    library, kept = StoreLibrary(Shelf(begun.store, begun.blobs, None)), Summaries()
    gate.error, entry = Unavailable("the database is away"), await library.find(RUN)
    with pytest.raises(StillReading):
        await kept.read(entry, 0.01)
    gate.open.set()
    await asyncio.sleep(0.01)  # it fails
    gate.open.clear()
    with pytest.raises(Unavailable):
        await kept.read(entry, 0.01)
    assert gate.begun == 1
    with pytest.raises(StillReading):
        await kept.read(entry, 0.01)
    assert gate.begun == 2, "whoever was told may try again"
    gate.error = None
    gate.open.set()
    assert (await kept.read(entry)).summary.run_id == RUN


@pytest.mark.parametrize("view", [f"/page/runs/{RUN}", f"/page/runs/{RUN}/lineage"])
async def test_a_view_of_a_run_that_takes_long_says_so_at_once_and_comes_by_itself(
    view: str, begun: World, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "_PATIENCE_S", 0.05)
    async with client_of(app_of(begun)) as client:
        early = await client.get(view)
        assert (early.status_code, early.headers["Refresh"]) == (200, "1")
        assert "are being read" in early.text
        part = asyncio.create_task(client.get(view, headers={"HX-Request": "true"}))
        await asyncio.sleep(0.3)
        assert not part.done(), "what goes into a page that is there waits"
        gate.open.set()
        assert (await part).status_code == 200
        whole = await client.get(view)
        assert whole.status_code == 200
        assert "Refresh" not in whole.headers
    assert gate.begun == 1
