"""Running out of memory, or saying so: one more chance, and no more time for both than for one."""

import json
from dataclasses import replace

import numpy as np
import pytest

from archloop.contracts.values import Outcome
from services.evaluator.evaluator import Evaluator
from services.evaluator.harness import frames
from services.evaluator.sandbox.port import Arrival
from tests.unit.evaluator.support import GOOD, HELDOUT, LIMITS, TINY, FakeSandbox, quadrants, stages

GENEROUS = TINY.model_copy(update={"on_out_of_memory": "half_batch"})


def outcome_frame(outcome: str) -> bytes:
    told = {"outcome": outcome, "detail": "", "parameters": 5, "losses": []}
    return frames.pack(frames.OUTCOME, json.dumps(told).encode())


class Starving(FakeSandbox):
    """Out of memory above a batch of 8, after `cpu` and `wall` seconds of which half went before training began."""

    def __init__(self, *, cpu: float = 0.5, wall: float = 1.0, stage: str = "train", later: str = "ok") -> None:
        super().__init__()
        self.cpu, self.wall, self.stage, self.later = cpu, wall, stage, later

    async def run(self, job):
        starved = job.task.batch > 8
        answers = frames.pack(frames.PREDICTIONS, np.zeros(120, "<i4").tobytes())
        begun = stages(up_to=self.stage) if starved else stages()
        self.killed_by = None if starved or self.later == "ok" else self.later
        told = outcome_frame("out_of_memory") if starved else answers + outcome_frame("ok")
        self.frames = begun + (b"" if self.killed_by else told)
        self.exit = None if self.killed_by else 0
        told = await super().run(job)
        arrivals = (Arrival(len(stages(up_to="train")), self.wall / 2), Arrival(len(self.frames), self.wall))
        cost = {"cpu": self.cpu, "wall": self.wall, "peak_memory": 5000} if starved else {}
        return replace(told, arrivals=arrivals, **cost)


async def evaluated(sandbox, protocol=GENEROUS):
    evaluator = Evaluator(sandbox, quadrants, HELDOUT)
    try:
        return await evaluator.evaluate(GOOD, protocol)
    finally:
        await evaluator.close()


@pytest.mark.parametrize(("retry", "batches"), [(True, [16, 8]), (False, [16])])
async def test_out_of_memory_in_training_gets_one_more_chance_at_half_the_batch_where_the_protocol_says(retry, batches):
    sandbox = Starving()
    evaluation = await evaluated(sandbox, GENEROUS if retry else TINY)
    assert [job.task.batch for job in sandbox.jobs] == batches
    assert evaluation.batch == batches[-1]
    assert (evaluation.outcome is Outcome.OUT_OF_MEMORY) is not retry


async def test_half_the_batch_is_tried_once_only():
    sandbox = Starving()
    evaluation = await evaluated(sandbox, GENEROUS.model_copy(update={"batch": 64}))
    assert [job.task.batch for job in sandbox.jobs] == [64, 32]
    assert (evaluation.outcome, evaluation.batch) == (Outcome.OUT_OF_MEMORY, 32)


@pytest.mark.parametrize("stage", ["build", "shape"])
async def test_what_runs_out_of_memory_before_training_would_do_so_at_half_the_batch_too(stage):
    sandbox = Starving(stage=stage)
    await evaluated(sandbox)
    assert len(sandbox.jobs) == 1


@pytest.mark.parametrize(("cpu", "wall"), [(0.5, 1.0), (5.9, 6.0), (0.0, 29.5), (3.0, 3.0), (5.0, 29.0)])
async def test_two_attempts_together_may_take_what_one_may(cpu, wall):
    sandbox = Starving(cpu=cpu, wall=wall)
    await evaluated(sandbox)
    first, second = (job.limits for job in sandbox.jobs)
    assert first == LIMITS
    assert (second.cpu_seconds, second.wall_seconds) == (LIMITS.cpu_seconds - cpu, LIMITS.wall_seconds - wall)
    assert second.model_copy(update={"cpu_seconds": 6.0, "wall_seconds": 30.0}) == LIMITS


@pytest.mark.parametrize(("cpu", "wall"), [(6.0, 7.0), (6.02, 6.1), (1.0, 30.0), (1.0, 90.0), (7.0, 31.0)])
async def test_whoever_took_all_of_it_gets_no_second_chance(cpu, wall):
    sandbox = Starving(cpu=cpu, wall=wall)
    evaluation = await evaluated(sandbox)
    assert (len(sandbox.jobs), evaluation.outcome, evaluation.batch) == (1, Outcome.OUT_OF_MEMORY, 16)


async def test_the_cost_is_that_of_both():
    evaluation = await evaluated(Starving(cpu=3.0, wall=4.0))
    assert (evaluation.cpu_seconds, evaluation.seconds) == (3.0 + 0.5, 4.0 + 1.0)
    assert evaluation.peak_memory_bytes == 5000
    assert sum(evaluation.stage_seconds.values()) == pytest.approx(2 * 4.0)
    assert set(evaluation.stage_seconds) >= {"start", "train", "predict"}
    assert evaluation.seconds_per_step == pytest.approx(2.0 / 32)


@pytest.mark.parametrize(("later", "said"), [("cpu", "more than 4 s of CPU time"), ("wall", "more than 27 s")])
async def test_a_timeout_says_that_there_was_less_time(later, said):
    evaluation = await evaluated(Starving(cpu=2.0, wall=3.0, later=later))
    assert evaluation.outcome is Outcome.TIMEOUT
    assert evaluation.detail == f"{said}, which a batch of 16 had left"
