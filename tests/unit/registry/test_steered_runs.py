"""Runs that people steer: paused, cancelled, changed, given exemplars and networks, and done again."""

from pathlib import Path
from typing import Any

import pytest

from archloop.contracts.base import candidate_id
from archloop.contracts.messages import CandidateGenerated, GenerationRequested, RunFinished, TrainingRequested
from archloop.contracts.values import SourceCode
from archloop.errors import Conflict, InvalidInput, NotFound
from services.registry.records import CandidateQuery
from services.registry.statistics.summary import summarise
from services.registry.stores import paging
from tests.unit.registry.world import RUN, World, spec

CODE = SourceCode.inline("a network of one's own")
SPEC = spec(cycles=3, candidates=6)


@pytest.fixture
async def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    await world.request(SPEC)
    return world


def asked(world: World, kind: type = GenerationRequested, cycle: int | None = None) -> list[Any]:
    return [m for m in world.published if isinstance(m, kind) and cycle in {None, getattr(m, "cycle", None)}]


async def until_cycle(world: World, cycle: int) -> None:
    while len(await world.store.cycles(RUN)) <= cycle:
        await world.deliver()


async def deliver_all(world: World) -> None:
    while world.pending:
        await world.deliver()


async def rows(world: World) -> list[tuple[Any, ...]]:
    found = (await world.store.candidates(CandidateQuery(run_id=RUN))).items
    return [(c.cycle, c.index, c.code_sha256, c.evaluation, c.judgement, c.admitted) for c in found]


async def reason(world: World) -> str | None:
    run = await world.store.run(RUN)
    assert run is not None
    return run.reason


async def test_a_paused_run_asks_for_nothing_and_what_was_under_way_ends(world: World) -> None:
    await world.deliver_to_registry()
    await world.act("pause")
    before = len(asked(world))
    await deliver_all(world)
    for _ in range(5):
        await world.wait(10_000)
        await deliver_all(world)
    assert len(asked(world)) == before == 6
    found = (await world.store.candidates(CandidateQuery(run_id=RUN))).items
    assert [c.awaits for c in found] == [None] * 6
    assert not (await world.store.cycles(RUN))[0].closed
    await world.act("resume")
    await world.run_to_end()
    assert await reason(world) == "completed"
    assert len(asked(world)) == 18, "asked for once each, for nothing was waited for in vain"


async def test_a_pause_that_the_registry_did_not_live_to_hear_of_holds(world: World) -> None:
    await world.deliver_to_registry()
    await world.act("pause")
    world.pending = [(queue, m) for queue, m in world.pending if m.name != "run.steered"]
    await world.restart_registry()
    await deliver_all(world)
    for _ in range(3):
        await world.wait(10_000)
        await deliver_all(world)
    assert len(asked(world)) == 6
    await world.act("resume")
    world.pending.clear()
    await world.wait(1)  # the clock looks where more acts are on record than were looked at
    await world.run_to_end()
    assert await reason(world) == "completed"


@pytest.mark.parametrize("steps", [0, 3, 8, 15, 30, 45], ids="after {} messages".format)
async def test_a_cancelled_run_ends_and_counts_what_was_settled_and_nothing_else(world: World, steps: int) -> None:
    await world.deliver_to_registry()
    for _ in range(steps):
        await world.deliver()
    await world.act("cancel")
    await world.act("cancel")
    await world.deliver_to_registry()
    assert await reason(world) == "cancelled by tester"
    assert len(asked(world, RunFinished)) == 1
    before, told = await rows(world), await summarise(world.store, RUN)
    await deliver_all(world)  # what was under way answers, and nobody hears it
    await world.restart_registry()
    await world.wait(10_000)
    await deliver_all(world)
    assert await rows(world) == before
    assert await summarise(world.store, RUN) == told
    settled = [c for c in (await world.store.candidates(CandidateQuery(run_id=RUN))).items if c.awaits is None]
    assert (told.status, told.totals.generated) == ("cancelled", len(settled))
    assert [each.verb for each in told.acts] == ["cancel"]


async def test_a_paused_run_is_cancelled_without_being_resumed(world: World) -> None:
    await world.deliver_to_registry()
    await world.act("pause")
    await deliver_all(world)
    await world.act("cancel")
    await deliver_all(world)
    assert await reason(world) == "cancelled by tester"
    with pytest.raises(Conflict, match=r"is over \(cancelled by tester\)"):
        await world.act("resume")


async def test_the_time_of_a_pause_is_not_the_runs(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.request(spec(budget={"wall_seconds": 500}))
    await world.deliver_to_registry()
    await world.act("pause")
    await world.wait(10_000)
    await world.act("resume")
    await deliver_all(world)
    assert await reason(world) == "completed"


async def test_a_change_is_taken_up_by_the_next_cycle_and_not_before(world: World) -> None:
    await until_cycle(world, 1)
    changes = {
        "candidates": 4,
        "generation": {"temperature": 1.5, "families": ["dense"]},
        "novelty": {"threshold": 0.7},
    }
    await world.act("change", changes=changes)
    await world.run_to_end()
    assert [len(asked(world, cycle=cycle)) for cycle in range(3)] == [6, 6, 4]
    assert {m.generation.temperature for m in asked(world, cycle=1)} == {0.9}
    (late,) = {(m.generation.temperature, m.generation.families, m.novelty.threshold) for m in asked(world, cycle=2)}
    assert late == (1.5, ("dense",), 0.7)
    told = await summarise(world.store, RUN)
    assert [c.generated for c in told.cycles] == [6, 6, 4]
    assert [(each.verb, each.cycle) for each in told.acts] == [("change", 2)]
    assert told.reason == "completed"


async def test_more_candidates_than_before_are_asked_for_recorded_and_closed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "PAGE", 5)
    await until_cycle(world, 1)
    await world.act("change", changes={"candidates": 20})
    await world.run_to_end()
    assert [c.settled for c in await world.store.cycles(RUN)] == [6, 6, 20]
    assert [c.generated for c in (await summarise(world.store, RUN)).cycles] == [6, 6, 20]


async def test_a_selection_that_was_changed_admits_by_the_changed_rule(world: World) -> None:
    await until_cycle(world, 1)
    await world.act("change", changes={"selection": {"threshold": 1.0, "fallback_threshold": 1.0}})
    await world.run_to_end()
    admitted = [c.admitted for c in (await summarise(world.store, RUN)).cycles]
    assert admitted[0] > 0
    assert admitted[1] > 0
    assert admitted[2] == 0


@pytest.mark.parametrize(("candidates", "generated"), [(7, [6, 1]), (9, [6, 3]), (18, [6, 6, 6])])
async def test_a_budget_that_was_given_later_counts_what_was_spent_before(
    world: World, candidates: int, generated: list[int]
) -> None:
    await until_cycle(world, 0)
    await world.act("change", changes={"budget": {"candidates": candidates}})
    await world.run_to_end()
    told = await summarise(world.store, RUN)
    assert [c.generated for c in told.cycles] == generated
    assert told.status == "finished"


async def test_a_budget_that_is_raised_before_the_cycle_closes_lets_the_run_go_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.request(spec(budget={"candidates": 5}))
    await until_cycle(world, 0)
    await world.act("change", changes={"budget": {}})
    await world.run_to_end()
    assert [c.generated for c in (await summarise(world.store, RUN)).cycles] == [5, 6, 6]


async def test_a_network_of_ones_own_is_scored_and_judged_among_the_next_cycles(world: World) -> None:
    await until_cycle(world, 0)
    await world.act("submit", code=CODE)
    await world.run_to_end()
    own = await world.store.candidate(candidate_id(RUN, 1, 6))
    assert own is not None
    assert (own.code_sha256, own.submitter, own.awaits) == (CODE.sha256, "tester", None)
    assert own.evaluation is not None
    assert len(asked(world)) == 18, "nobody asked an LLM for it"
    told = await summarise(world.store, RUN)
    assert [(c.generated, c.submitted) for c in told.cycles] == [(6, 0), (6, 1), (6, 0)]
    assert told.reason == "completed"


@pytest.mark.parametrize("lost", ["candidate.generated", "candidate.evaluated.ok", "candidate.evaluated.failed", ""])
async def test_a_network_of_ones_own_is_not_forgotten_whatever_is_lost(world: World, lost: str) -> None:
    await until_cycle(world, 0)
    await world.act("submit", code=CODE)
    await until_cycle(world, 1)
    world.pending = [(queue, m) for queue, m in world.pending if getattr(m, "index", 0) != 6 or m.name != lost]
    if not lost:
        await world.kill()
    await world.run_to_end()
    own = await world.store.candidate(candidate_id(RUN, 1, 6))
    assert own is not None
    assert own.evaluation is not None
    assert {m.submitter for m in asked(world, CandidateGenerated) if m.index == 6} == {"tester"}


@pytest.mark.parametrize(("verb", "replay", "trained"), [("pin", 0, [1, 0, 1]), ("ban", None, [1, 1, 0])])
async def test_a_pinned_network_is_always_trained_on_and_a_banned_one_never(
    tmp_path: Path, verb: str, replay: int | None, trained: list[int]
) -> None:
    world = World(tmp_path)
    selection = {"threshold": 0.1, "fallback_threshold": 0.1, "minimum": 1, "quota": 1, "replay": replay}
    await world.request(spec(cycles=4, candidates=12, selection=selection))
    await until_cycle(world, 1)
    best = (await world.store.architectures(RUN)).items[0]
    await world.act(verb, candidate=best.candidate_id)
    await world.run_to_end()
    source = await world.store.source(best.candidate_id)
    assert source is not None
    pairs = [await world.blobs.get(request.pairs) for request in asked(world, TrainingRequested)]
    assert [content.decode().count(f"{source.code.text}\\n") for content in pairs] == trained


REVERTED = spec(cycles=4, candidates=6)


async def reverted(world: World, name: str, cycle: int) -> None:
    """Ask for the version once that cycle is open, and see the run to its end."""
    await world.request(REVERTED)
    await until_cycle(world, cycle)
    await world.act("revert", adapter=name)
    await world.run_to_end()


async def wrote(world: World) -> list[str | None]:
    return [each.adapter and each.adapter.adapter for each in await world.store.cycles(RUN)]


@pytest.mark.parametrize(
    ("name", "cycle", "versions"),
    [
        ("tiny", 1, [None, "run-1-c0", None, "run-1-c2"]),
        ("run-1-c0", 2, [None, "run-1-c0", "run-1-c1", "run-1-c0"]),
        ("run-1-c0", 1, [None, "run-1-c0", "run-1-c0", "run-1-c2"]),
    ],
)
async def test_a_reverted_run_is_written_by_the_earlier_version_which_the_next_training_continues(
    tmp_path: Path, name: str, cycle: int, versions: list[str | None]
) -> None:
    world = World(tmp_path)
    await reverted(world, name, cycle)
    assert await reason(world) == "completed"
    assert await wrote(world) == versions
    trained = {m.cycle: m.parent and m.parent.adapter for m in asked(world, TrainingRequested)}
    before = {number: each for number, each in enumerate(versions[:3]) if number != cycle}
    assert trained == before, "none comes before the cycle that goes back, and each other continues what wrote"
    told = await summarise(world.store, RUN)
    assert [(each.verb, each.adapter, each.cycle) for each in told.acts] == [("revert", name, cycle + 1)]


async def test_a_training_that_goes_on_while_a_run_is_reverted_is_for_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.request(REVERTED)
    await until_cycle(world, 1)
    while not asked(world, TrainingRequested, 1):
        await world.deliver()
    world.pending, trainings = [], [each for each in world.pending if each[0] == "trainer"]
    await world.act("revert", adapter="tiny")
    await world.deliver_to_registry()
    assert await wrote(world) == [None, "run-1-c0", None], "it waits for no training"
    world.pending += trainings
    await world.run_to_end()
    assert await wrote(world) == [None, "run-1-c0", None, "run-1-c2"]
    parents = {each.adapter.adapter: each.parent for each in await world.store.adapters(RUN)}
    assert parents == {"run-1-c0": None, "run-1-c1": "run-1-c0", "run-1-c2": None}


@pytest.mark.parametrize("steps", [0, 2, 5, 9, 14])
async def test_a_run_that_was_killed_while_it_is_reverted_comes_to_the_same(tmp_path: Path, steps: int) -> None:
    calm, world = World(tmp_path / "calm"), World(tmp_path / "killed")
    await reverted(calm, "tiny", 1)
    await world.request(REVERTED)
    await until_cycle(world, 1)
    await world.act("revert", adapter="tiny")
    for _ in range(steps):
        await world.deliver()
    await world.kill()
    await world.run_to_end()
    assert (await wrote(world), await rows(world)) == (await wrote(calm), await rows(calm))


async def test_a_gate_is_not_asked_whether_a_run_may_be_reverted(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.request(spec(cycles=3, candidates=6, gate={"candidates": 2, "margin": 1.0}))
    await until_cycle(world, 1)
    trials = [m.submission for m in asked(world) if m.submission]
    await world.act("revert", adapter="tiny")
    await world.run_to_end()
    assert await wrote(world) == [None, "run-1-c0", None]
    assert [m.submission for m in asked(world) if m.submission] == trials
    assert len(trials) == 4


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"verb": "pin", "candidate": candidate_id("other", 0, 0)}, NotFound),
        ({"verb": "ban", "candidate": "nothing at all"}, NotFound),
        ({"verb": "revert", "adapter": "run-1-c0"}, InvalidInput),
        ({"verb": "change", "changes": {"selection": {"threshold": 0.0}}}, InvalidInput),
    ],
)
async def test_another_systems_act_that_cannot_be_is_refused(world: World, said: Any, error: type[Exception]) -> None:
    await until_cycle(world, 0)
    with pytest.raises(error):
        await world.services["registry"].handle(world.steered(**said))
    with pytest.raises(NotFound):
        await world.services["registry"].handle(world.steered("pause", "nobody"))
    run = await world.store.run(RUN)
    assert run is not None
    assert not run.acts


async def test_another_systems_act_is_heeded_once_however_often_it_comes(world: World) -> None:
    await until_cycle(world, 0)
    message = world.steered("change", changes={"candidates": 4})
    for _ in range(3):
        world.publish([message])
        await world.deliver_to_registry()
    run = await world.store.run(RUN)
    assert run is not None
    assert [each.act_id for each in run.acts] == [message.act_id]
    await world.run_to_end()
    assert [c.settled for c in await world.store.cycles(RUN)] == [6, 4, 4]
