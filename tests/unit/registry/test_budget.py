"""A run ends cleanly at the first of its limits, and says at which."""

from pathlib import Path

import pytest

from archloop.contracts.budget import BudgetSpec
from archloop.contracts.messages import CandidateLost, GenerationRequested, RunFinished, TrainingRequested
from services.registry.control.budget import Spent, exhausted
from services.registry.records import CandidateQuery
from tests.unit.registry.world import RUN, World, spec


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def ended(world: World) -> str:
    await world.run_to_end()
    run = await world.store.run(RUN)
    assert run.status == "finished"
    assert not world.pending
    return run.reason


def asked(world: World) -> int:
    return len({m.id for m in world.published if isinstance(m, GenerationRequested)})


async def test_a_limit_on_candidates_is_kept_to_the_last_one(world: World) -> None:
    await world.request(spec(budget={"candidates": 8}))
    assert await ended(world) == "budget exhausted: candidates 8 of 8"
    assert asked(world) == 8
    assert [c.settled for c in await world.store.cycles(RUN)] == [6, 2]
    assert len([m for m in world.published if isinstance(m, TrainingRequested)]) == 1


async def test_a_limit_that_is_just_enough_is_no_early_end(world: World) -> None:
    await world.request(spec(budget={"candidates": 18}))
    assert await ended(world) == "completed"


@pytest.mark.parametrize(("name", "limit"), [("tokens", 70), ("cost", 0.7), ("evaluator_seconds", 7)])
async def test_what_is_under_way_when_the_limit_is_reached_is_settled_and_counted(world: World, name, limit) -> None:
    await world.request(spec(candidates=40, budget={name: limit}))  # the fakes use 10 tokens, .1 of cost, 1 s each
    assert (await ended(world)).startswith(f"budget exhausted: {name}")
    rows = (await world.store.candidates(CandidateQuery(run_id=RUN))).items
    assert len(rows) == asked(world) <= 7 + 16
    assert all(row.awaits is None for row in rows)
    assert not [m for m in world.published if isinstance(m, CandidateLost)]
    (cycle,) = await world.store.cycles(RUN)
    assert cycle.closed is not None
    assert len([m for m in world.published if isinstance(m, RunFinished)]) == 1


async def test_time_runs_out_even_while_nothing_happens(world: World) -> None:
    await world.request(spec(budget={"wall_seconds": 50}))
    await world.deliver()
    world.pending = [each for each in world.pending if each[0] == "registry"]  # the generator never answers
    await world.deliver_to_registry()
    await world.wait(51)
    await world.wait(world.patience.answer_s)
    assert (await ended(world)).startswith("budget exhausted: wall_seconds")


async def test_an_early_end_survives_a_restart_of_the_registry(world: World) -> None:
    await world.request(spec(candidates=40, budget={"tokens": 70}))
    for _ in range(60):
        if world.pending:
            await world.deliver()
    await world.kill()
    assert (await ended(world)).startswith("budget exhausted: tokens")
    assert asked(world) <= 7 + 2 * 16


async def test_without_limits_everything_is_asked_for_at_once(world: World) -> None:
    await world.request(spec(candidates=40))
    await world.deliver()
    assert asked(world) == 40


def test_the_first_limit_that_is_reached_is_named() -> None:
    spent = Spent(candidates=3, tokens=1200, cost=0.5, evaluator_seconds=9.25)
    assert exhausted(BudgetSpec(), spent, 1e9) is None
    assert exhausted(BudgetSpec(tokens=1201, wall_seconds=10), spent, 9.9) is None
    assert exhausted(BudgetSpec(tokens=1200), spent, 0) == "budget exhausted: tokens 1,200 of 1,200"
    assert exhausted(BudgetSpec(evaluator_seconds=9), spent, 0) == "budget exhausted: evaluator_seconds 9.25 of 9"
    assert exhausted(BudgetSpec(cost=0.5, wall_seconds=1), spent, 2) == "budget exhausted: cost 0.5 of 0.5"


def test_what_is_spent_adds_up_from_nothing() -> None:
    one, other = Spent(1, 20, 0.25, 3.5), Spent(4, 500, 0.5, 60.25)
    assert Spent() == (0, 0, 0, 0)
    assert one.plus(other) == other.plus(one) == (5, 520, 0.75, 63.75)
    assert one.plus(Spent()) == one


async def test_what_messages_say_was_spent_is_what_the_rows_say(world: World) -> None:
    await world.request(spec(candidates=8))
    await world.run_to_end()
    told = Spent()
    for message in {m.id: m for m in world.published}.values():
        told = told.plus(Spent.of(message))
    rows = (await world.store.candidates(CandidateQuery(run_id=RUN))).items
    assert told.candidates == len(rows) > 0
    assert told == pytest.approx(Spent.on(rows))
    assert min(told) > 0
