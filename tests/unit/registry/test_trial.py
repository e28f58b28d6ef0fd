"""A new adapter writes the run only if it is no worse, where the run asks for that."""

from pathlib import Path

import pytest

from archloop.contracts.messages import GenerationRequested, TrainingRequested
from archloop.contracts.values import Outcome
from services.registry.statistics.summary import summarise
from tests.unit.registry import world as worlds
from tests.unit.registry.world import RUN, World, evaluation, spec


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def broken(monkeypatch: pytest.MonkeyPatch, *adapters: str) -> None:
    """What these adapters write does not build."""
    real = worlds.Generator.handle

    async def handle(self, message: GenerationRequested):
        (answer,) = await real(self, message)
        bad = message.adapter is not None and message.adapter.adapter in adapters
        code = worlds.SourceCode.inline(f"bad {message.seed}") if bad else answer.code
        return [answer.model_copy(update={"code": code})]

    monkeypatch.setattr(worlds.Generator, "handle", handle)
    monkeypatch.setattr(
        worlds,
        "evaluation",
        lambda code: evaluation(code).model_copy(
            update={"outcome": Outcome.BUILD_ERROR if "bad" in code else Outcome.OK, "accuracy": 0.6}
        ),
    )


async def writers(world: World) -> list[str | None]:
    return [c.adapter.adapter if c.adapter else None for c in await world.store.cycles(RUN)]


def trials(world: World) -> list[GenerationRequested]:
    return [m for m in world.published if isinstance(m, GenerationRequested) and m.submission]


async def test_an_adapter_that_is_as_good_follows_and_every_one_gets_the_same_prompts(world, monkeypatch) -> None:
    broken(monkeypatch)
    await world.request(spec(gate={"candidates": 4}))
    await world.run_to_end()
    assert await writers(world) == [None, "run-1-c0", "run-1-c1"]
    asked = {m.candidate_id: m for m in trials(world)}.values()
    by_adapter = {a: [(m.seed, m.index) for m in asked if m.adapter == a] for a in {m.adapter for m in asked}}
    assert len(by_adapter) == 3
    assert {len(each) for each in by_adapter.values()} == {4}
    assert len({tuple(each) for each in by_adapter.values()}) == 1


async def test_a_worse_adapter_is_published_and_never_writes_a_cycle(world, monkeypatch) -> None:
    broken(monkeypatch, "run-1-c0")
    await world.request(spec(gate={"candidates": 4}))
    await world.run_to_end()
    assert await writers(world) == [None, None, "run-1-c1"]
    assert [a.adapter.adapter for a in await world.store.adapters(RUN)] == ["run-1-c0", "run-1-c1"]
    trainings = {m.id: m for m in world.published if isinstance(m, TrainingRequested)}.values()
    assert [m.parent for m in trainings] == [None, None], "what follows goes on from the one that was kept"


async def test_the_margin_forgives(world, monkeypatch) -> None:
    broken(monkeypatch, "run-1-c0")
    await world.request(spec(gate={"candidates": 4, "margin": 1.0}))
    await world.run_to_end()
    assert await writers(world) == [None, "run-1-c0", "run-1-c1"]


async def test_trials_enter_no_cycle(world, monkeypatch) -> None:
    broken(monkeypatch)
    await world.request(spec(gate={"candidates": 4}))
    await world.run_to_end()
    assert [c.generated for c in (await summarise(world.store, RUN)).cycles] == [6, 6, 6]


async def test_a_trial_survives_the_death_of_everything(world, monkeypatch) -> None:
    broken(monkeypatch, "run-1-c0")
    await world.request(spec(gate={"candidates": 4}))
    while not trials(world):
        await world.deliver()
    for _ in range(5):
        await world.deliver()
    await world.kill()
    await world.run_to_end()
    assert await writers(world) == [None, None, "run-1-c1"]


async def test_what_never_comes_is_not_valid_and_does_not_hold_the_run(world, monkeypatch) -> None:
    broken(monkeypatch)
    real = worlds.Generator.handle

    async def deaf(self, message: GenerationRequested):
        return [] if message.submission and message.adapter else await real(self, message)

    monkeypatch.setattr(worlds.Generator, "handle", deaf)
    await world.request(spec(gate={"candidates": 4}))
    await world.run_to_end()
    assert await writers(world) == [None, None, None]


async def test_without_a_gate_nothing_is_tried(world: World) -> None:
    await world.request(spec())
    await world.run_to_end()
    assert not trials(world)
