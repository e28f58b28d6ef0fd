"""What the run controller asks for, and when."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from archloop.contracts.base import candidate_id
from archloop.contracts.messages import (
    BOOTSTRAP,
    CandidateEvaluatedOk,
    CandidateGenerated,
    CandidateLost,
    CycleClosed,
    GenerationRequested,
    RunFinished,
    RunRequested,
    TrainingRequested,
)
from archloop.contracts.values import BlobRef
from archloop.errors import Conflict, InvalidInput, NotFound, Unavailable
from services.registry.control.pairs import put_bootstrap
from services.registry.control.requests import adapter_name, derived_seed
from services.registry.records import CandidateQuery, Step
from services.registry.statistics.summary import summarise
from services.registry.stores.sqlite import SqliteStore
from tests.unit.registry.world import RUN, World, spec


class FailingStore(SqliteStore):
    """A database that goes away in the middle of a look."""

    async def open_steps(self, run_id: str, cycle: int, below: int) -> dict[int, Step]:
        raise Unavailable(f"no candidates of {run_id}: disk I/O error")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def of_type(messages: list, kind: type) -> list:
    return [m for m in messages if isinstance(m, kind)]


async def finished_reason(world: World) -> str | None:
    run = await world.store.run(RUN)
    assert run is not None
    return run.reason


async def test_a_run_goes_through_all_its_cycles_and_finishes(world: World) -> None:
    await world.request(spec())
    await world.run_to_end()
    assert await finished_reason(world) == "completed"
    assert [c.cycle for c in await world.store.cycles(RUN)] == [0, 1, 2]
    assert len(of_type(world.published, GenerationRequested)) == 18
    assert [m.cycle for m in of_type(world.published, CycleClosed)] == [0, 1, 2]
    assert len(of_type(world.published, RunFinished)) == 1


async def test_each_cycle_is_written_by_the_adapter_that_the_one_before_made(world: World) -> None:
    await world.request(spec())
    await world.run_to_end()
    written_by = {m.cycle: m.adapter and m.adapter.adapter for m in of_type(world.published, GenerationRequested)}
    assert written_by == {0: None, 1: "run-1-c0", 2: "run-1-c1"}
    assert [(m.cycle, m.parent and m.parent.adapter) for m in world.trainer.requests] == [(0, None), (1, "run-1-c0")]


async def test_a_frozen_run_never_trains(world: World) -> None:
    await world.request(spec(frozen=True))
    await world.run_to_end()
    assert await finished_reason(world) == "completed"
    assert world.trainer.requests == []
    assert {m.adapter for m in of_type(world.published, GenerationRequested)} == {None}


async def test_without_pairs_the_next_cycle_keeps_the_adapter(world: World) -> None:
    nothing_passes = {"threshold": 1.0, "fallback_threshold": 1.0, "minimum": 0}
    await world.request(spec(selection=nothing_passes))
    await world.run_to_end()
    assert await finished_reason(world) == "completed"
    assert world.trainer.requests == []


async def test_pairs_are_the_prompt_and_the_fenced_code_of_admitted_candidates(world: World) -> None:
    await world.request(spec())
    await world.run_to_end()
    first = world.trainer.requests[0]
    lines = (await world.blobs.get(first.pairs)).decode().splitlines()
    admitted = {a.candidate_id for a in (await world.store.architectures(RUN)).items if a.cycle == 0}
    sources = [await world.store.source(candidate) for candidate in admitted]
    possible = {(s.prompt, f"```python\n{s.code.text}\n```\n") for s in sources if s}
    pairs = [json.loads(line) for line in lines]
    assert len(pairs) == first.pair_count > 0
    assert {(p["prompt"], p["completion"]) for p in pairs} <= possible


async def test_the_same_seed_gives_the_same_run_under_another_name(tmp_path: Path) -> None:
    codes = []
    for name in ("a", "B_2"):
        world = World(tmp_path / name)
        await world.request(spec(frozen=True), run_id=name)
        while world.pending:
            await world.deliver()
        candidates = (await world.store.candidates(CandidateQuery(run_id=name))).items
        codes.append([c.code_sha256 for c in candidates])
    assert codes[0] == codes[1]
    assert len(codes[0]) == 18


async def test_nothing_is_asked_twice_while_the_run_is_alive(world: World) -> None:
    await world.request(spec())
    await world.deliver()
    while world.pending:
        await world.wait(world.patience.echo_s / 2)
        await world.deliver()
        await world.deliver_to_registry()
    ids = [m.id for m in world.published]
    assert len(ids) == len(set(ids))


async def test_a_request_that_was_never_published_is_said_again_soon(world: World) -> None:
    await world.request(spec())
    await world.deliver(lose_answers=True)
    assert world.pending == []
    await world.wait(world.patience.echo_s)
    assert len(of_type(world.published, GenerationRequested)) == 6


async def test_an_unanswered_request_is_asked_again_only_after_silence(world: World) -> None:
    await world.request(spec(candidates=1))
    await world.deliver()
    world.pending = [(queue, m) for queue, m in world.pending if queue == "registry"]
    await world.deliver()
    await world.wait(world.patience.answer_s - 1)
    assert len(of_type(world.published, GenerationRequested)) == 1
    await world.wait(70)
    assert len(of_type(world.published, GenerationRequested)) == 2


async def test_after_a_restart_all_that_is_outstanding_is_asked_for_at_once(world: World) -> None:
    await world.request(spec())
    for _ in range(20):
        await world.deliver()
    await world.kill()
    world.published.clear()
    await world.wait(0)
    rows = (await world.store.candidates(CandidateQuery(run_id=RUN))).items
    generated = {c.index for c in rows if c.awaits == "evaluation"}
    assert {m.index for m in of_type(world.published, CandidateGenerated)} == generated
    asked = {m.index for m in of_type(world.published, GenerationRequested)}
    assert asked == set(range(6)) - {c.index for c in rows if c.code_sha256}


async def test_novelty_hears_again_of_all_that_precedes_an_unjudged_candidate(world: World) -> None:
    await world.request(spec(candidates=8))
    while [p for p in world.pending if p[0] != "novelty"]:
        await world.deliver(next(i for i, p in enumerate(world.pending) if p[0] != "novelty"))
    await world.kill()
    world.published.clear()
    await world.wait(0)
    evaluated = [m for m in world.published if m.name.startswith("candidate.evaluated")]
    last_ok = max(m.index for m in evaluated if isinstance(m, CandidateEvaluatedOk))
    assert [m.index for m in evaluated] == list(range(last_ok + 1))
    await world.run_to_end()
    assert await finished_reason(world) == "completed"


async def test_the_end_of_a_cycle_is_told_although_the_process_died_before_telling(world: World) -> None:
    await world.request(spec(frozen=True))
    while not (cycles := await world.store.cycles(RUN)) or cycles[0].closed is None:
        await world.deliver(lose_answers=world.pending[0][0] == "registry" and len(world.published) > 10)
    assert of_type(world.published, CycleClosed) == []
    await world.kill()
    await world.run_to_end()
    assert [m.cycle for m in of_type(world.published, CycleClosed)] == [0, 1, 2]


async def test_a_look_that_failed_is_taken_again_as_if_for_the_first_time(world: World) -> None:
    await world.request(spec())
    for _ in range(20):
        await world.deliver()
    world.pending.clear()
    sound, world.controller._store = world.controller._store, FailingStore(world.folder / "registry.sqlite")
    with pytest.raises(Unavailable):
        await world.controller.next(RUN, world.now + timedelta(seconds=world.patience.answer_s * 10))
    world.controller._store = sound
    assert world.controller.quiet(RUN, world.now)
    assert of_type(await world.controller.next(RUN, world.now), CandidateGenerated)


async def test_a_candidate_that_never_answers_is_lost_and_the_run_goes_on(world: World) -> None:
    world.evaluator.deaf_to = {2}
    await world.request(spec())
    await world.run_to_end()
    lost = of_type(world.published, CandidateLost)
    assert {(m.cycle, m.index, m.step, m.asked) for m in lost} == {(c, 2, "evaluation", 3) for c in range(3)}
    assert await finished_reason(world) == "completed"
    closed = of_type(world.published, CycleClosed)
    assert {m.generated for m in closed} == {6}


async def test_an_answer_that_comes_after_the_loss_changes_nothing(world: World) -> None:
    world.evaluator.deaf_to = {2}
    await world.request(spec(cycles=1))
    await world.run_to_end()
    before = await world.store.candidate(candidate_id(RUN, 0, 2))
    world.evaluator.deaf_to = set()
    late = next(m for m in world.published if isinstance(m, CandidateGenerated) and m.index == 2)
    world.publish(await world.evaluator.handle(late))
    while world.pending:
        await world.deliver()
    assert await world.store.candidate(candidate_id(RUN, 0, 2)) == before


async def test_a_cycle_of_which_everything_is_lost_fails_the_run(world: World) -> None:
    world.evaluator.deaf_to = set(range(6))
    await world.request(spec())
    await world.run_to_end()
    run = await world.store.run(RUN)
    assert run is not None
    assert run.status == "failed"
    assert "cycle 0: every candidate was lost" in (run.reason or "")


async def test_training_that_never_answers_fails_the_run_with_the_reason(world: World) -> None:
    world.trainer.broken = True
    await world.request(spec())
    await world.run_to_end()
    run = await world.store.run(RUN)
    assert run is not None
    assert run.status == "failed"
    assert run.reason == "cycle 0: no adapter after 3 requests for training"
    assert len(of_type(world.published, TrainingRequested)) == 3


async def test_a_run_name_taken_by_another_spec_is_a_conflict(world: World) -> None:
    await world.request(spec())
    await world.deliver()
    handler = world.services["registry"]
    with pytest.raises(Conflict, match="run-1"):
        await handler.handle(RunRequested(run_id=RUN, spec=spec(seed=2)))
    assert await handler.handle(RunRequested(run_id=RUN, spec=spec())) == []


async def test_an_unknown_protocol_is_refused_before_anything_is_recorded(world: World) -> None:
    with pytest.raises(NotFound, match=r"protocol named 'nonsense'; there is .*digits"):
        await world.services["registry"].handle(RunRequested(run_id=RUN, spec=spec(protocol="nonsense")))
    assert await world.store.run(RUN) is None


@pytest.mark.parametrize(("cycle", "index"), [(3, 0), (0, 6), (2**31, 0), (0, 2**31)])
async def test_a_candidate_outside_of_its_run_is_refused(world: World, cycle: int, index: int) -> None:
    await world.request(spec())
    await world.deliver()
    message = CandidateLost(run_id=RUN, cycle=cycle, index=index, step="generation", asked=1)
    with pytest.raises(InvalidInput, match="less than the run's"):
        await world.services["registry"].handle(message)


async def test_a_candidate_of_no_known_run_is_refused(world: World) -> None:
    with pytest.raises(NotFound, match="run"):
        await world.services["registry"].handle(
            CandidateLost(run_id="nobody", cycle=0, index=0, step="generation", asked=1)
        )


@pytest.mark.parametrize(
    ("run_id", "expected"),
    [
        ("demo-s1", "demo-s1-c3"),
        ("Demo_1", r"demo-1-[0-9a-f]{8}-c3"),
        ("x" * 63, r"x{51}-[0-9a-f]{8}-c3"),
        ("a..b", None),
    ],
)
def test_adapter_names_are_servable_and_distinct(run_id: str, expected: str | None) -> None:
    name = adapter_name(run_id, 3)
    assert len(name) <= 63
    assert re.fullmatch(r"[a-z0-9](-?[a-z0-9])*", name)
    assert expected is None or re.fullmatch(expected, name)


def test_runs_whose_names_clean_up_alike_get_different_adapters() -> None:
    assert len({adapter_name(name, 0) for name in ("a-b", "a.b", "a_b", "A-b", "a--b")}) == 5


def test_seeds_are_31_bit_and_differ() -> None:
    seeds = {derived_seed("candidate", 0, cycle, index) for cycle in range(20) for index in range(50)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**31 for seed in seeds)


async def begun_with_pairs(world: World, **changes: object) -> BlobRef:
    pairs = await put_bootstrap(world.blobs, ['{"prompt": "a", "completion": "b"}'])
    await world.request(spec(bootstrap={"pairs": pairs.model_dump(), "count": 1} | changes))
    await world.run_to_end()
    return pairs


async def test_a_run_tunes_on_its_bootstrap_pairs_before_it_writes(world: World) -> None:
    pairs = await begun_with_pairs(world)
    first, *later = of_type(world.published, TrainingRequested)
    assert (first.cycle, first.adapter, first.parent, first.pairs) == (BOOTSTRAP, "run-1-start", None, pairs)
    assert world.published.index(first) < world.published.index(of_type(world.published, GenerationRequested)[0])
    cycle = (await world.store.cycles(RUN))[0]
    assert cycle.adapter is not None
    assert cycle.adapter.adapter == "run-1-start"
    assert later[0].parent == cycle.adapter
    assert await finished_reason(world) == "completed"


@pytest.mark.parametrize("replay", [True, False])
async def test_bootstrap_pairs_are_replayed_where_the_run_says_so(world: World, replay: bool) -> None:
    await begun_with_pairs(world, replay=replay)
    later = of_type(world.published, TrainingRequested)[1]
    lines = (await world.blobs.get(later.pairs)).decode().splitlines()
    assert ('{"prompt": "a", "completion": "b"}' in lines) is replay
    assert len(lines) == later.pair_count


async def test_a_replayed_pair_may_hold_what_ends_a_line_of_text(world: World) -> None:
    line = '{"prompt": "a", "completion": "b\u2028c\x85d"}'
    pairs = await put_bootstrap(world.blobs, [line])
    await world.request(spec(bootstrap={"pairs": pairs.model_dump(), "count": 1, "replay": True}))
    await world.run_to_end()
    later = of_type(world.published, TrainingRequested)[1]
    assert line in (await world.blobs.get(later.pairs)).decode().split("\n")


async def test_a_frozen_run_keeps_the_adapter_of_its_bootstrap(world: World) -> None:
    pairs = await put_bootstrap(world.blobs, ['{"prompt": "a", "completion": "b"}'])
    await world.request(spec(bootstrap={"pairs": pairs.model_dump(), "count": 1}, frozen=True))
    await world.run_to_end()
    assert {c.adapter and c.adapter.adapter for c in await world.store.cycles(RUN)} == {"run-1-start"}


async def test_a_bootstrap_that_never_answers_fails_the_run_with_the_reason(world: World) -> None:
    world.trainer.broken = True
    await begun_with_pairs(world)
    assert await finished_reason(world) == "bootstrap: no adapter after 3 requests for training"


async def test_a_run_that_is_to_have_pairs_and_has_none_is_refused(world: World) -> None:
    with pytest.raises(InvalidInput, match=r"spec.bootstrap.pairs"):
        await world.services["registry"].handle(RunRequested(run_id=RUN, spec=spec(bootstrap={"replay": True})))


async def test_without_the_novelty_filter_copies_are_admitted_too(world: World) -> None:
    await world.request(spec(selection={"threshold": 0.0, "fallback_threshold": 0.0, "novel_only": False}))
    await world.run_to_end()
    found = (await world.store.candidates(CandidateQuery(run_id=RUN))).items
    assert [c.admitted for c in found] == [c.valid for c in found]
    assert any(c.admitted and not c.novel for c in found)
    assert (await summarise(world.store, RUN)).unique_total == sum(c.novel for c in found)
