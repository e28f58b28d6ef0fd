"""What a run's view tells while it goes on: what is busy, what was watched, what was compared."""

import re
from pathlib import Path

import httpx

from archloop.gpus import Gpu, GpuUse
from archloop.ops.presence import Presence
from services.registry.counting import Counts, QueueCount
from tests.unit.page.pages import Seen, app_of, client_of
from tests.unit.registry.world import RUN, Generator, Sharing, World, spec


def words(answer: httpx.Response) -> str:
    """What is to be read, a space between any two elements."""
    return " ".join(" ".join(Seen(answer.text).words).split())


async def test_what_is_busy_now_is_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.request(spec())
    await world.deliver()
    gpu = Gpu(0, "G", 80.0, 30.0)
    there = {"service": "evaluator", "version": "9.9", "sandbox_level": "namespaces", "in_hand": {"evaluator": 2}}
    counts = Counts(
        [QueueCount(queue="evaluator", waiting=4, parked=0, consumers=3, in_hand=2)],
        (
            Presence(host="one", process=7, gpus=(GpuUse(gpu, 0.42),), **there),
            Presence(host="two", process=8, gpus=(GpuUse(gpu, None),), **there),
            Presence(host="two", process=9, gpus=(GpuUse(gpu, None),), **there),
        ),
    )
    async with client_of(app_of(world, counts=counts)) as client:
        run, system = [words(await client.get(address)) for address in (f"/page/runs/{RUN}", "/page/system")]
    await world.store.close()
    evaluator = "queue evaluator 4 2 in hand of 3 consumers"
    shown = "one: GPU 0, G 42.0 % 50 of 80 GB in use two: GPU 0, G – 50 of 80 GB in use"
    assert f"{evaluator} {shown}" in run
    assert "evaluator 4 2 3 0" in system
    assert "evaluator one 7 9.9 namespaces evaluator 2 evaluator two 8" in system
    assert f"GPUs {shown}" in system


async def ended(folder: Path, generator: Generator, **asked: object) -> tuple[str, str]:
    """Overview and lineage of a run that has ended."""
    world = World(folder)
    world.services["generator"] = generator
    await world.request(spec(cycles=2, **asked))
    await world.run_to_end()
    async with client_of(app_of(world)) as client:
        told = [words(await client.get(f"/page/runs/{RUN}{view}")) for view in ("", "/lineage")]
    await world.store.close()
    return told[0], told[1]


async def test_a_run_that_is_watched_for_collapse_tells_what_was_seen_and_done(tmp_path: Path) -> None:
    watched = {"below": 1.0, "judged": 1, "temperature": 0.25}
    shown, _ = await ended(tmp_path, Generator(), candidates=24, collapse=watched)
    assert "novel of the valid step from then on" in shown
    assert "temperature 1.15" in shown
    assert "A cycle of which less than 100.0 % of the valid are novel" in shown


async def test_where_answers_are_compared_their_number_is_told(tmp_path: Path) -> None:
    compared = {"training": {"method": "dpo"}, "generation": {"answers": 2}}
    shown, lineage = await ended(tmp_path, Sharing(), candidates=12, **compared)
    assert "unique preferences seconds" in shown
    assert re.search(r"answers compared [1-9]\d* chosen, [1-9]\d* rejected", lineage)
