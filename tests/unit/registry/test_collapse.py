"""When a run counts as collapsed, what it then does, and that it says so: the same whoever looks at it."""

import pytest

from archloop.contracts.messages import CandidateGenerated, CycleClosed, GenerationRequested, TrainingRequested
from archloop.contracts.spec import CollapseSpec
from archloop.contracts.values import Collapse, SourceCode
from services.registry.control import collapse
from services.registry.control.collapse import Diversity
from services.registry.statistics.summary import summarise
from tests.unit.registry.world import RUN, Generator, World, number, spec

RULE = CollapseSpec(below=0.5, judged=4, steps=2, temperature=0.1)
GOOD, EDGE, ALIKE, FEW = Diversity(8, 6), Diversity(8, 4), Diversity(8, 1), Diversity(3, 0)
WATCHED = [
    # cycles, novelty of the last, step after it
    ([], None, 0),
    ([GOOD], 0.75, 0),
    ([ALIKE], 0.125, 1),
    ([EDGE], 0.5, 0),
    ([FEW], None, 0),
    ([Diversity()], None, 0),
    ([ALIKE, FEW], None, 1),
    ([ALIKE, ALIKE], 0.125, 2),
    ([ALIKE, ALIKE, ALIKE], 0.125, 2),
    ([ALIKE, ALIKE, ALIKE, GOOD], 0.75, 1),
    ([ALIKE, GOOD, GOOD, GOOD], 0.75, 0),
    ([GOOD, GOOD, ALIKE], 0.125, 1),
]


@pytest.mark.parametrize(("cycles", "novelty", "step"), WATCHED)
def test_each_cycle_that_is_alike_is_a_step_further_and_each_other_one_a_step_back(cycles, novelty, step):
    assert collapse.watched(cycles, RULE) == Collapse(novelty=novelty, step=step)


EDITS = {"mode": "mixed", "temperature": 0.9}
WIDENED = [
    # what is done, at which step, temperature, parents and replay then
    ({"temperature": 0.1}, 0, (0.9, "best", 3)),
    ({"temperature": 0.1}, 1, (1.0, "best", 3)),
    ({"temperature": 0.1}, 3, (1.2, "best", 3)),
    ({"temperature": 0.8}, 2, (2.0, "best", 3)),
    ({"replay": 16}, 1, (0.9, "best", 19)),
    ({"replay": 16}, 3, (0.9, "best", 51)),
    ({"parents": "archive"}, 0, (0.9, "best", 3)),
    ({"parents": "archive"}, 2, (0.9, "archive", 3)),
    ({"temperature": 0.2, "replay": 1, "parents": "families"}, 2, (1.3, "families", 5)),
]


@pytest.mark.parametrize(("rule", "step", "expected"), WIDENED)
def test_what_is_done_grows_with_the_step(rule, step, expected):
    asked = spec(collapse=rule, generation=EDITS)
    then = collapse.widened(asked, step)
    assert (then.generation.temperature, then.generation.parents, then.selection.replay) == expected
    changed = {"generation": asked.generation, "selection": asked.selection}
    assert then.model_copy(update=changed) == asked
    assert (then == asked) == (step == 0)


class Repeating(Generator):
    """Writes one of two networks, until it is asked at a temperature of 1.1."""

    async def handle(self, message: GenerationRequested):
        (written,) = await super().handle(message)
        assert isinstance(written, CandidateGenerated)
        wide = message.generation.temperature >= 1.1
        code = f"code {number(message.seed) if wide else 40 + message.index % 2}"
        return [written.model_copy(update={"code": SourceCode.inline(code)})]


async def _watched(folder, **changes) -> World:
    world = World(folder)
    world.services["generator"] = Repeating()
    await world.request(spec(cycles=5, candidates=12, collapse={"judged": 2, **changes}))
    return world


def _temperatures(world: World) -> dict[int, set[float]]:
    asked = [message for message in world.published if isinstance(message, GenerationRequested)]
    return {cycle: {m.generation.temperature for m in asked if m.cycle == cycle} for cycle in range(5)}


async def test_a_run_that_repeats_itself_is_asked_hotter_until_it_no_longer_does(tmp_path):
    world = await _watched(tmp_path, temperature=0.1)
    await world.run_to_end()
    assert _temperatures(world) == {0: {0.9}, 1: {1.0}, 2: {1.1}, 3: {1.0}, 4: {1.1}}
    closed = [message for message in world.published if isinstance(message, CycleClosed)]
    assert [message.collapse and message.collapse.step for message in closed] == [1, 2, 1, 2, 1]
    summary = await summarise(world.store, RUN)
    assert [cycle.collapse for cycle in summary.cycles] == [message.collapse for message in closed]
    novelties = [cycle.collapse and cycle.collapse.novelty for cycle in summary.cycles]
    assert novelties == [cycle.novelty_rate for cycle in summary.cycles]


async def test_a_run_that_is_not_watched_says_nothing_of_it(tmp_path):
    world = World(tmp_path)
    await world.request(spec())
    await world.run_to_end()
    closed = [message for message in world.published if isinstance(message, CycleClosed)]
    assert [message.model_dump().get("collapse", "absent") for message in closed] == ["absent"] * 3
    summary = (await summarise(world.store, RUN)).model_dump()
    assert "collapse" not in summary["spec"].keys() | summary["cycles"][0].keys()


async def test_a_registry_that_died_asks_in_the_same_words(tmp_path):
    one, other = [await _watched(tmp_path / name, temperature=0.1) for name in ("one", "other")]
    await one.run_to_end()
    while not any(isinstance(m, GenerationRequested) and m.cycle == 2 for m in other.published):
        await other.deliver()
    await other.kill()
    await other.wait(1000)
    await other.run_to_end()
    asked, again = [{m.id: m for m in w.published if isinstance(m, GenerationRequested)} for w in (one, other)]
    assert asked == again


async def test_more_earlier_networks_are_replayed_after_a_collapse(tmp_path):
    counts = []
    for name, changes in (("plain", {"below": 0.01}), ("watched", {"below": 1.0})):
        world = World(tmp_path / name)
        await world.request(spec(cycles=4, candidates=12, collapse={"judged": 2, "replay": 2, **changes}))
        await world.run_to_end()
        counts.append([m.pair_count for m in world.published if isinstance(m, TrainingRequested)])
    plain, more = counts
    assert plain[0] == more[0], "nothing is earlier than the first cycle"
    assert sum(more) > sum(plain)
