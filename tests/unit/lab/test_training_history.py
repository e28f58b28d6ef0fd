"""What the LLM had been tuned on, read back from what a run recorded."""

import json
from pathlib import Path

import pytest

from archloop import answers
from archloop.contracts.values import AdapterRef, BlobRef
from archloop_lab import training_history
from services.registry.control.pairs import put_bootstrap
from services.registry.statistics import trainings
from tests.unit.registry.world import RUN, Sharing, World, spec

PAIRS = [json.dumps({"prompt": "write", "completion": answers.render(f"given {n}")}) for n in range(3)]


async def pairs_of(world: World) -> list[set[str]]:
    """The code of every training, in order."""
    contents = [await world.blobs.get(message.pairs) for message in world.trainer.requests]
    lines = [[json.loads(line)["completion"] for line in content.splitlines()] for content in contents]
    return [{answers.extract(completion).code for completion in completions} for completions in lines]


async def test_a_cycle_was_tuned_on_the_pairs_of_its_adapter_and_of_all_that_it_continues(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.request(spec(candidates=12))
    await world.run_to_end()
    first, second = await pairs_of(world)
    found = await training_history.by_cycle(world.store, world.blobs, RUN)
    assert {cycle: set(codes) for cycle, codes in found.items()} == {1: first, 2: first | second}
    assert first < first | second


async def test_a_run_that_begins_with_pairs_was_tuned_on_those_from_the_first_cycle_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    given = {"pairs": await put_bootstrap(world.blobs, PAIRS), "count": len(PAIRS), "replay": False}
    await world.request(spec(candidates=12, bootstrap=given))
    await world.run_to_end()
    start, first, second = await pairs_of(world)
    found = await training_history.by_cycle(world.store, world.blobs, RUN)
    assert start == {f"given {n}\n" for n in range(3)}
    assert {cycle: set(codes) for cycle, codes in found.items()} == {
        0: start,
        1: start | first,
        2: start | first | second,
    }


async def test_of_an_adapter_that_was_made_elsewhere_nothing_is_claimed(tmp_path: Path) -> None:
    world = World(tmp_path)
    manifest = BlobRef(key="adapters/elsewhere/manifest.json", sha256="a" * 64, bytes=1)
    adapter = AdapterRef(adapter="elsewhere", manifest=manifest, base_model="tiny")
    await world.request(spec(candidates=12, adapter=adapter))
    await world.run_to_end()
    assert len(world.trainer.requests) == 2
    assert await training_history.by_cycle(world.store, world.blobs, RUN) == {}


async def test_of_a_cycle_whose_pairs_are_gone_nothing_is_claimed(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.request(spec(candidates=12))
    await world.run_to_end()
    (tmp_path / "blobs" / world.trainer.requests[1].pairs.key).unlink()
    assert list(await training_history.by_cycle(world.store, world.blobs, RUN)) == [1]


async def test_a_frozen_run_of_the_base_model_was_tuned_on_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.request(spec(frozen=True))
    await world.run_to_end()
    assert await training_history.by_cycle(world.store, world.blobs, RUN) == {}


async def compared(folder: Path, method: str) -> tuple[World, list[dict[str, str]]]:
    """A run whose candidates share prompts, and the lines of its first training."""
    world = World(folder)
    world.services["generator"] = Sharing()
    await world.request(spec(candidates=12, generation={"prompts": 2}, training={"method": method}))
    await world.run_to_end()
    content = await world.blobs.get(world.trainer.requests[0].pairs)
    return world, [json.loads(line) for line in content.splitlines()]


@pytest.mark.parametrize("method", ["sft", "dpo", "negatives"])
async def test_chosen_and_rejected_answers_are_counted_each_once(method: str, tmp_path: Path) -> None:
    world, lines = await compared(tmp_path, method)
    found = await trainings.compared(world.store, world.blobs, RUN)
    if method == "sft":
        assert found == {}
        return
    chosen = {line["completion"] for line in lines}
    rejected = {line["rejected"] for line in lines if line.get("rejected")}
    assert found[0] == trainings.Compared(len(chosen), len(rejected))
    assert found.keys() == {message.cycle for message in world.trainer.requests}
    assert 0 < len(chosen) < len(lines), "an answer is in several pairs"


@pytest.mark.parametrize(("method", "learnt"), [("dpo", False), ("negatives", True)])
async def test_what_is_rejected_is_learnt_by_negatives_alone(method: str, learnt: bool, tmp_path: Path) -> None:
    world, lines = await compared(tmp_path, method)
    codes = (await training_history.by_cycle(world.store, world.blobs, RUN))[1]
    rejected = {answers.extract(line["rejected"]).code for line in lines if line.get("rejected")}
    chosen = {answers.extract(line["completion"]).code for line in lines}
    assert chosen <= set(codes)
    assert rejected - chosen
    assert rejected <= set(codes) if learnt else not (rejected - chosen) & set(codes)


async def test_pairs_that_are_gone_are_not_counted(tmp_path: Path) -> None:
    world, _ = await compared(tmp_path, "dpo")
    (tmp_path / "blobs" / world.trainer.requests[0].pairs.key).unlink()
    assert 0 not in await trainings.compared(world.store, world.blobs, RUN)
