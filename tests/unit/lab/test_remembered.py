"""What the report says that prompts were told is what they were told."""

from collections import Counter

import pytest

from archloop import remembering
from archloop.contracts.messages import GenerationRequested
from archloop_lab import remembered
from tests.unit.registry.world import RUN, World, spec


@pytest.mark.parametrize("memory", ["failures", "scores", "all"])
async def test_the_lines_are_those_of_the_requests_with_how_often_they_were_said(memory, tmp_path):
    world = World(tmp_path)
    await world.request(spec(cycles=4, candidates=12, generation={"memory": memory}))
    await world.run_to_end()
    said = Counter(
        (message.cycle, line)
        for message in world.published
        if isinstance(message, GenerationRequested)
        for line in remembering.lines(message.memory)
    )
    found = await remembered.of_run(world.store, world.blobs, RUN)
    assert {line.cycle for line in found} == {1, 2, 3}
    for line in found:
        assert (line.prompts, line.of) == (said[line.cycle, line.text], 12)
        most = sorted((count for (cycle, _), count in said.items() if cycle == line.cycle), reverse=True)
        assert line.prompts in most[: remembered.SHOWN]


async def test_a_run_without_a_memory_was_told_nothing(tmp_path):
    world = World(tmp_path)
    await world.request(spec())
    await world.run_to_end()
    assert await remembered.of_run(world.store, world.blobs, RUN) == []
    assert await remembered.of_run(world.store, world.blobs, "no-such-run") == []
