"""Whatever is late, twice or lost, whoever dies, pauses or resumes when: the run ends as the undisturbed one does."""

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from archloop.contracts.base import candidate_id
from services.registry.control.controller import Patience
from services.registry.records import Candidate, CandidateQuery
from tests.unit.registry.world import RUN, World, spec

NEVER_GIVE_UP = Patience(answer_s=100.0, training_s=1000.0, echo_s=10.0, asks=10**6)
SPEC = spec(cycles=2, candidates=5)
pytestmark = pytest.mark.timeout(300)
RUNNER = asyncio.Runner()


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return RUNNER.run(coroutine)


async def recorded(world: World) -> dict[str, dict[str, Any]]:
    """What must never change once it is there, by candidate."""
    found = (await world.store.candidates(CandidateQuery(run_id=RUN))).items
    return {c.candidate_id: c.model_dump(exclude_none=True, exclude_defaults=True) for c in found}


async def ended(world: World) -> tuple[Any, ...]:
    """The end state, but for times."""
    candidates = (await world.store.candidates(CandidateQuery(run_id=RUN))).items
    cycles = [(c.cycle, c.adapter) for c in await world.store.cycles(RUN)]
    adapters = [(a.adapter, a.parent, a.pair_count) for a in await world.store.adapters(RUN)]
    return [essence(c) for c in candidates], cycles, adapters, (await world.store.run(RUN)).reason


def essence(c: Candidate) -> tuple[Any, ...]:
    return c.candidate_id, c.code_sha256, c.adapter, c.evaluation, c.judgement, c.lost, c.admitted


async def undisturbed() -> tuple[Any, ...]:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), NEVER_GIVE_UP)
        await world.request(SPEC)
        await world.run_to_end()
        return await ended(world)


class Interleavings(RuleBasedStateMachine):
    expected = None

    def __init__(self) -> None:
        super().__init__()
        type(self).expected = self.expected or run(undisturbed())
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self.folder.name), NEVER_GIVE_UP)
        run(self.world.request(SPEC))
        run(self.world.deliver())
        self.seen: dict[str, dict[str, Any]] = {}

    def position(self, choice: int) -> int:
        return choice % len(self.world.pending)

    @precondition(lambda self: self.world.pending)
    @rule(choices=st.lists(st.integers(0, 60), min_size=1, max_size=20))
    def deliver_out_of_order(self, choices: list[int]) -> None:
        for choice in choices[: len(self.world.pending)]:
            run(self.world.deliver(self.position(choice)))

    @precondition(lambda self: self.world.pending)
    @rule(choice=st.integers(0, 60))
    def die_between_effect_and_answer(self, choice: int) -> None:
        run(self.world.deliver(self.position(choice), lose_answers=True))

    @precondition(lambda self: self.world.pending)
    @rule(choice=st.integers(0, 60))
    def deliver_twice(self, choice: int) -> None:
        self.world.pending.append(self.world.pending[self.position(choice)])

    @precondition(lambda self: self.world.pending)
    @rule(choice=st.integers(0, 60))
    def lose(self, choice: int) -> None:
        self.world.pending.pop(self.position(choice))

    @rule(seconds=st.sampled_from([1, 11, 101, 1001]))
    def wait(self, seconds: int) -> None:
        run(self.world.wait(seconds))

    @rule()
    def restart_the_registry(self) -> None:
        run(self.world.restart_registry())

    @rule()
    def kill_everything(self) -> None:
        run(self.world.kill())

    @rule()
    def pause(self) -> None:
        run(self.steer("pause"))

    @rule()
    def resume(self) -> None:
        run(self.steer("resume"))

    async def steer(self, verb: str) -> None:
        if await self.world.store.unfinished():
            await self.world.act(verb)

    @invariant()
    def nothing_recorded_changes(self) -> None:
        now = run(recorded(self.world))
        for candidate, before in self.seen.items():
            assert before.items() <= now[candidate].items()
        self.seen = now

    def teardown(self) -> None:
        run(self.steer("resume"))
        run(self.world.run_to_end())
        candidates, *rest = run(ended(self.world))
        expected, *expected_rest = self.expected
        assert [c[0] for c in candidates] == [candidate_id(RUN, c, i) for c in range(2) for i in range(5)]
        assert candidates == expected
        assert rest == expected_rest
        run(self.world.store.close())
        self.folder.cleanup()


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(
    max_examples=15, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
