"""What the prompts of a cycle say of the cycles before it: chosen from closed rows, the same whenever it is said."""

import pytest

from archloop.blobs import programs
from archloop.blobs.directory import DirectoryBlobs
from archloop.contracts.messages import (
    GenerationRequested,
    TrainingRequested,
)
from archloop.contracts.values import Outcome
from archloop.training_pairs import decoded
from services.generator import prompts, tasks
from services.registry.control.memory import recollection
from services.registry.records import Judgement, Loss
from tests.unit.registry.remembering import CODE, HEADING, Measuring, Writer, failed, in_cycle, lived, said
from tests.unit.registry.world import RUN, World, spec

MODES = ["none", "failures", "scores", "all"]


@pytest.mark.parametrize("memory", MODES)
async def test_a_run_says_what_it_was_asked_to_of_closed_cycles_alone(memory, tmp_path):
    _, writer = await lived(tmp_path, memory=memory)
    assert [said(m) for m in in_cycle(writer, 0)] == [[]] * 6
    for message in (*in_cycle(writer, 1), *in_cycle(writer, 2)):
        lines = said(message)
        assert any(line.startswith("accuracy 0.70: ") for line in lines) is (memory in {"scores", "all"})
        assert any(line.startswith("failed ") for line in lines) is (memory in {"failures", "all"})
        prompt = tasks.of(message, None).prompt
        assert (HEADING in prompt) is (memory != "none")
        assert all(f"- {line}" in prompt.split("\n") for line in lines)
    first = in_cycle(writer, 1)[0]
    if memory == "all":
        assert 'failed 2 times, shape_error in shape: "RuntimeError: wrong"' in said(first)
        assert any("8.2k parameters, 13 channels, 1 Conv2d, Tanh, no norm" in line for line in said(first))
        assert 'failed 4 times, shape_error in shape: "RuntimeError: wrong"' in said(in_cycle(writer, 2)[0])


async def test_without_a_memory_nothing_is_written_otherwise_than_before_there_was_one(tmp_path):
    _, writer = await lived(tmp_path)
    for message in writer.asked:
        assert "memory" not in message.data()
        assert not {"memory", "memory_tokens"} & message.data()["generation"].keys()
    assert not {"memory", "memory_tokens"} & spec().model_dump()["generation"].keys()
    assert '"memory"' not in spec().model_dump_json()


async def test_a_message_that_is_said_again_after_a_restart_is_equal(tmp_path):
    world, writer = World(tmp_path), Writer()
    world.services |= {"generator": writer, "evaluator": Measuring()}
    await world.request(spec(generation={"memory": "all"}))
    while not in_cycle(writer, 2):
        await world.deliver()
        if not world.pending:
            await world.wait(world.patience.training_s)
    await world.deliver_to_registry()
    asked = {m.index: m for m in world.published if isinstance(m, GenerationRequested) and m.cycle == 2}
    await world.kill()
    await world.wait(world.patience.training_s)
    again = [m for m in world.published[-20:] if isinstance(m, GenerationRequested) and m.cycle == 2]
    assert again
    assert all(each.memory for each in again)
    assert all(each == asked[each.index] for each in again)


@pytest.mark.parametrize(
    "changes", [{"frozen": True}, {}, {"gate": {"candidates": 3}}], ids=["frozen", "tuned", "gate"]
)
async def test_frozen_and_tuned_runs_remember_alike_and_trials_do_not(changes, tmp_path):
    world, writer = World(tmp_path), Writer()
    world.services |= {"generator": writer, "evaluator": Measuring()}
    await world.request(spec(generation={"memory": "all"}, **changes))
    await world.run_to_end()
    assert all(m.memory for m in in_cycle(writer, 1) if m.submission is None)
    assert not any(m.memory for m in writer.asked if m.submission is not None)
    trained = [m for m in world.published if isinstance(m, TrainingRequested)]
    assert bool(trained) is not ("frozen" in changes)


async def test_pairs_keep_what_was_asked_with_its_memory(tmp_path):
    world, writer = await lived(tmp_path, memory="all")
    trained = next(m for m in world.published if isinstance(m, TrainingRequested) and m.cycle == 1)
    pairs = decoded(await world.blobs.get(trained.pairs), "pairs")
    prompts = {tasks.of(message, None).prompt for message in writer.asked}
    assert {pair.prompt for pair in pairs} <= prompts
    assert any(HEADING in pair.prompt for pair in pairs)


def test_a_network_that_was_given_up_is_not_told_of_and_copies_are_once():
    judged = Judgement(verdict="novel", similarity=0.1, threshold=0.85, family="plain")
    changes = {"judgement": judged, "code_sha256": "a" * 64}
    kept = failed("", outcome=Outcome.OK, accuracy=0.5).model_copy(update=changes)
    lost = kept.model_copy(update={"lost": Loss(step="judgement", asked=3), "code_sha256": "b" * 64})
    copy = kept.model_copy(update={"index": 5})
    unjudged = kept.model_copy(update={"judgement": None, "code_sha256": "c" * 64})
    assert [each.index for each in recollection._scored([lost, unjudged, kept, copy])] == [0]


async def test_a_network_whose_code_is_gone_is_passed_over(tmp_path):
    long = CODE + "# " + "x" * programs.INLINE_LIMIT
    world = World(tmp_path)
    writer = Writer(long, world.blobs)
    world.services |= {"generator": writer, "evaluator": Measuring()}
    await world.request(spec(generation={"memory": "all"}))
    while not in_cycle(writer, 1):
        await world.deliver()
    run = await world.store.run(RUN)
    whole = await recollection.recollection(world.store, world.blobs, run, 1, {})
    bare = await recollection.recollection(world.store, DirectoryBlobs(tmp_path / "empty"), run, 1, {})
    assert whole.best
    assert not bare.best
    assert whole.failures == bare.failures


@pytest.mark.parametrize("mode", ["whole", "edit", "mixed"])
async def test_a_memory_stands_in_the_prompts_of_whole_networks_and_of_edits(mode, tmp_path):
    _, writer = await lived(tmp_path, memory="all", mode=mode)
    asked = [*in_cycle(writer, 1), *in_cycle(writer, 2)]
    assert {message.parent is not None for message in asked} <= {
        "whole": {False},
        "edit": {True},
        "mixed": {True, False},
    }[mode]
    for message in asked:
        original = prompts.Original(message.parent.code.text, 0.5) if message.parent else None
        prompt = tasks.of(message, original).prompt
        memory, _, rest = prompt.partition(HEADING)[2].partition("\n\n")
        assert memory.strip().split("\n") == [f"- {line}" for line in said(message)]
        assert ("Its accuracy is 0.500" in rest) is (original is not None)
