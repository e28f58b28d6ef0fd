"""How often a run is read that many look at: no more than a tenth of the time, and always once it has ended."""

import asyncio
from pathlib import Path

import pytest

from services.registry.page import summaries
from services.registry.page.library import Shelf, StoreLibrary
from services.registry.page.summaries import Summaries
from services.registry.statistics.summary import Read, Reading
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
