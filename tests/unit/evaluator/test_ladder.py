"""A ladder: a part of the images first, and all of them only for who reaches the bar."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from archloop.contracts.messages import CandidateEvaluatedFailed, CandidateEvaluatedOk
from archloop.contracts.values import Outcome, Rung
from archloop.protocols import load
from archloop.protocols.model import Ladder, Protocol
from services.evaluator import handlers, ladder
from services.evaluator.evaluator import Evaluator
from services.evaluator.handlers import EvaluatorHandler
from services.evaluator.harness import frames
from tests.unit.evaluator.support import GOOD, HELDOUT, LIMITS, TINY, FakeSandbox, quadrants, stages
from tests.unit.evaluator.test_handlers import Known, NoResults, generated

CLIMBED = TINY.model_copy(update={"ladder": Ladder(share=0.25, quantile=0.5)})
PART, WHOLE = 0.5, 0.75
COSTS = {"seconds", "cpu_seconds", "peak_memory_bytes", "stage_seconds", "seconds_per_step", "loss_curve"}


class Learning(FakeSandbox):
    """Has learnt so much after the part, and so much after all; `fails` names the outcome where it came to none."""

    def __init__(self, part=PART, whole=WHOLE, *, fails=None, fails_at=0, cpu=0.5):
        super().__init__()
        self.shares, self.fails, self.fails_at, self.cpu = (part, whole), fails, fails_at, cpu

    async def run(self, job):
        number = len(self.jobs)
        if self.fails and number == self.fails_at:
            self.frames = stages(up_to="train") + _outcome(self.fails)
        else:
            shown = job.arrays[2]
            content = os.pread(shown.fd, np.prod(shown.shape), 0)
            answers = _answers(np.frombuffer(content, np.uint8).reshape(shown.shape), self.shares[number % 2])
            self.frames = stages() + frames.pack(frames.PREDICTIONS, answers) + _outcome("ok")
        return replace(await super().run(job), cpu=self.cpu)


def _outcome(outcome):
    told = {"outcome": outcome, "detail": "", "parameters": 5, "losses": [1.0]}
    return frames.pack(frames.OUTCOME, json.dumps(told).encode())


def _answers(images, share):
    """The class of each image, which is its bright quadrant, or the next where it is not to be right."""
    bright = images.reshape(-1, 2, 4, 2, 4).mean((2, 4)).reshape(-1, 4)
    classes = bright.argmax(1)
    wrong = np.arange(len(classes)) % 20 >= round(20 * share)
    return ((classes + wrong) % 4).astype("<i4").tobytes()


@pytest.fixture
async def evaluated():
    opened = []

    async def one(sandbox, bar=None, protocol=CLIMBED):
        opened.append(Evaluator(sandbox, quadrants, HELDOUT))
        return await opened[-1].evaluate(GOOD, protocol, bar)

    yield one
    for evaluator in opened:
        await evaluator.close()


@pytest.mark.parametrize("bar", [None, 0.0, 0.1, 0.2, 0.3])
async def test_who_reaches_the_bar_is_trained_on_all_and_has_that_accuracy(evaluated, bar):
    sandbox = Learning()
    found = await evaluated(sandbox, bar)
    assert [job.task.first for job in sandbox.jobs] == [64, None]
    assert found.valid
    assert found.accuracy == pytest.approx(WHOLE, abs=0.15)
    assert found.rung.accuracy == pytest.approx(PART, abs=0.15)
    assert (found.rung.bar, found.rung.share, found.rung.passed) == (bar, 0.25, True)
    assert (found.seconds, found.cpu_seconds) == (2.0, 1.0)


@pytest.mark.parametrize("bar", [0.66, 0.7, 0.8, 0.9, 1.0])
async def test_who_does_not_is_stopped_and_has_no_accuracy_that_could_stand_beside_others(evaluated, bar):
    sandbox = Learning()
    found = await evaluated(sandbox, bar)
    assert [job.task.first for job in sandbox.jobs] == [64]
    assert (found.outcome, found.accuracy, found.test_accuracy, found.valid) == (Outcome.STOPPED, None, None, False)
    assert found.rung.accuracy == pytest.approx(PART, abs=0.15)
    reached = f"accuracy {found.rung.accuracy:.3f} after 0.25 of the training images"
    assert found.detail == f"{reached}, {bar:.3f} was needed to go on"


async def test_the_bar_itself_is_reached(evaluated):
    once = await evaluated(Learning())
    assert (await evaluated(Learning(), once.rung.accuracy)).valid


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.98])
async def test_a_part_is_at_least_an_image_and_never_all(evaluated, share):
    sandbox = Learning()
    await evaluated(sandbox, protocol=TINY.model_copy(update={"ladder": Ladder(share=share)}))
    assert 1 <= sandbox.jobs[0].task.first <= TINY.dataset.train
    assert sandbox.jobs[0].task.first - 1 < share * TINY.dataset.train <= sandbox.jobs[0].task.first


@pytest.mark.parametrize("fails", ["train_error", "diverged", "out_of_memory", "build_error", "crashed"])
async def test_who_fails_on_the_part_fails(evaluated, fails):
    sandbox = Learning(fails=fails)
    found = await evaluated(sandbox, 0.1)
    assert (found.outcome.value, found.rung, len(sandbox.jobs)) == (fails, Rung(share=0.25, bar=0.1), 1)


@pytest.mark.parametrize("fails", ["train_error", "diverged", "out_of_memory", "shape_error", "crashed"])
async def test_who_fails_on_all_fails_too(evaluated, fails):
    found = await evaluated(Learning(fails=fails, fails_at=1))
    assert (found.outcome.value, found.accuracy, found.rung.passed) == (fails, None, True)


@pytest.mark.parametrize(("part", "outcome"), [(0.1, "below_chance"), (0.2, "below_chance"), (0.4, "stopped")])
async def test_who_is_stopped_at_chance_is_no_valid_network_that_was_stopped(evaluated, part, outcome):
    found = await evaluated(Learning(part), 0.9)
    assert (found.outcome.value, found.accuracy) == (outcome, None)


async def test_both_trainings_together_may_take_what_one_may(evaluated):
    sandbox = Learning(cpu=4.0)
    await evaluated(sandbox)
    first, second = (job.limits for job in sandbox.jobs)
    assert (first, second) == (LIMITS, LIMITS.model_copy(update={"cpu_seconds": 2.0, "wall_seconds": 29.0}))
    slow = Learning(cpu=6.0)
    found = await evaluated(slow)
    assert (found.outcome, found.stage, found.accuracy, len(slow.jobs)) == (Outcome.TIMEOUT, "train", None, 1)


@pytest.mark.parametrize("then", [None, 0.3, 0.9])
@pytest.mark.parametrize("now", [None, 0.2, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("sandbox", [Learning, lambda: Learning(0.1), lambda: Learning(fails="diverged")])
async def test_what_is_known_under_one_bar_is_what_it_would_be_under_another(evaluated, sandbox, then, now):
    known, fresh = await evaluated(sandbox(), then), await evaluated(sandbox(), now)
    found = ladder.under(known, now, CLIMBED.chance_line)
    must_train = fresh.rung.passed and not known.rung.passed and known.rung.accuracy is not None
    assert (found is None) is must_train
    assert found is None or found.model_dump(exclude=COSTS) == fresh.model_dump(exclude=COSTS)


@pytest.mark.parametrize(("bar", "kind", "jobs"), [
    (None, CandidateEvaluatedOk, 0), (0.2, CandidateEvaluatedOk, 0), (0.9, CandidateEvaluatedFailed, 0)])  # fmt: skip
async def test_the_message_carries_the_bar_to_what_is_known_and_what_is_not(
    evaluated, tmp_path, monkeypatch, bar, kind, jobs
):
    monkeypatch.setattr(handlers.protocols, "load", lambda _: CLIMBED)
    known, sandbox = await evaluated(Learning()), Learning()
    evaluator = Evaluator(sandbox, quadrants, HELDOUT)
    message = generated({"sha256": known.code_sha256, "text": GOOD}, bar=bar)
    for results, expected in ((Known(known), jobs), (NoResults(), 1 if kind is CandidateEvaluatedFailed else 2)):
        (event,) = await EvaluatorHandler(evaluator, results, tmp_path).handle(message)
        assert (type(event), event.evaluation.rung.bar) == (kind, bar)
        assert len(sandbox.jobs) == expected
    await evaluator.close()


@pytest.mark.parametrize("name", ["shapes", "digits", "mnist5k", "cifar10", "paper-cifar10"])
def test_without_a_ladder_no_protocol_hash_and_no_evaluation_changes(name):
    protocol = load(name)
    assert protocol.ladder is None
    without = protocol.model_dump(exclude={"ladder"})
    assert Protocol.model_validate(without).sha256 == protocol.sha256
    assert protocol.model_copy(update={"ladder": Ladder()}).sha256 != protocol.sha256


@pytest.mark.parametrize("field", ["share", "quantile"])
@pytest.mark.parametrize("value", [0, 1, -0.1, 1.5, True, float("nan")])
def test_a_ladder_that_stops_nobody_or_everybody_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        Ladder.model_validate({field: value})
