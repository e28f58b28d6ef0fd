import json

import numpy as np
import pytest

from archloop.contracts.values import Outcome
from archloop.protocols.model import Normalisation
from services.evaluator.devices import Device
from services.evaluator.evaluator import SOURCE_LIMIT, Evaluator
from services.evaluator.harness import frames
from services.evaluator.sandbox.shared import mapped
from services.evaluator.scoring import secret_order
from tests.unit.evaluator.support import GOOD, TINY, FakeSandbox, quadrants, stages

DATA = quadrants(TINY.dataset)


def answer(predicted) -> bytes:
    verdict = {"outcome": "ok", "detail": "", "parameters": 5, "losses": [1.5, 0.5]}
    payload = frames.pack(frames.PREDICTIONS, np.asarray(predicted, "<i4").tobytes())
    return stages() + payload + frames.pack(frames.VERDICT, json.dumps(verdict).encode())


@pytest.fixture
def sandbox():
    return FakeSandbox()


@pytest.fixture
async def evaluator(sandbox):
    evaluator = Evaluator(sandbox, quadrants)
    yield evaluator
    await evaluator.close()


async def in_secret_order(evaluator, sandbox):
    """The right answers for GOOD, in the order in which its images were shown."""
    sha256 = (await evaluator.evaluate(GOOD, TINY)).code_sha256
    return secret_order(DATA.heldout_labels, sha256, TINY.sha256)


async def test_right_answers_are_ok_with_both_accuracies_and_the_parents_measures(evaluator, sandbox):
    order = await in_secret_order(evaluator, sandbox)
    sandbox.frames = answer(DATA.heldout_labels[order])
    evaluation = await evaluator.evaluate(GOOD, TINY)
    assert (evaluation.outcome, evaluation.accuracy, evaluation.test_accuracy) == (Outcome.OK, 1.0, 1.0)
    assert (evaluation.seconds, evaluation.cpu_seconds, evaluation.peak_memory_bytes) == (1.0, 0.5, 1000)
    assert (evaluation.parameters, evaluation.loss_curve) == (5, (1.5, 0.5))
    assert (evaluation.protocol, evaluation.protocol_sha256) == ("tiny", TINY.sha256)


async def test_one_class_for_all_is_below_chance_and_keeps_its_accuracy(evaluator, sandbox):
    sandbox.frames = answer(np.zeros(120))
    evaluation = await evaluator.evaluate(GOOD, TINY)
    assert (evaluation.outcome, evaluation.accuracy) == (Outcome.BELOW_CHANCE, 0.25)
    assert "chance is 0.250" in evaluation.detail


class Starving(FakeSandbox):
    """Out of memory above a batch of 8."""

    async def run(self, job):
        verdict = {"outcome": "out_of_memory", "detail": "", "parameters": 5, "losses": []}
        starved = stages(up_to="train") + frames.pack(frames.VERDICT, json.dumps(verdict).encode())
        self.frames = starved if job.task.batch > 8 else answer(np.zeros(120))
        return await super().run(job)


@pytest.mark.parametrize(("retry", "batches"), [(True, [16, 8]), (False, [16])])
async def test_out_of_memory_in_training_gets_one_more_chance_at_half_the_batch_where_the_protocol_says(retry, batches):
    sandbox = Starving()
    evaluator = Evaluator(sandbox, quadrants)
    evaluation = await evaluator.evaluate(
        GOOD, TINY.model_copy(update={"on_out_of_memory": "half_batch" if retry else None})
    )
    await evaluator.close()
    assert [job.task.batch for job in sandbox.jobs] == batches
    assert evaluation.batch == batches[-1]
    assert (evaluation.outcome is Outcome.OUT_OF_MEMORY) is not retry


async def test_half_the_batch_is_tried_once_only():
    sandbox = Starving()
    evaluator = Evaluator(sandbox, quadrants)
    evaluation = await evaluator.evaluate(GOOD, TINY.model_copy(update={"on_out_of_memory": "half_batch", "batch": 64}))
    await evaluator.close()
    assert [job.task.batch for job in sandbox.jobs] == [64, 32]
    assert (evaluation.outcome, evaluation.batch) == (Outcome.OUT_OF_MEMORY, 32)


async def test_a_result_names_the_device_and_its_driver(evaluator, sandbox):
    sandbox.device = Device("0", "NVIDIA A100", "550.54")
    evaluation = await evaluator.evaluate(GOOD, TINY)
    assert (evaluation.device, evaluation.device_name, evaluation.driver) == ("cuda:0", "NVIDIA A100", "550.54")


async def test_a_failed_candidate_has_no_accuracy(evaluator, sandbox):
    sandbox.frames, sandbox.exit = stages(up_to="train"), 1
    evaluation = await evaluator.evaluate(GOOD, TINY)
    assert (evaluation.outcome, evaluation.stage, evaluation.accuracy) == (Outcome.CRASHED, "train", None)


async def test_no_label_of_a_held_out_image_goes_into_the_sandbox(evaluator, sandbox):
    await evaluator.evaluate(GOOD, TINY)
    job = sandbox.jobs[0]
    shapes = [array.shape for array in job.arrays]
    assert shapes == [(256, 1, 8, 8), (256,), (120, 1, 8, 8)]


async def test_held_out_images_are_shown_in_an_order_that_differs_by_code(sandbox, evaluator):
    shown = []

    async def look(job):
        shown.append(mapped(job.arrays[2].fd, job.arrays[2].dtype, job.arrays[2].shape).copy())
        return await FakeSandbox().run(job)

    sandbox.run = look
    for code in (GOOD, GOOD, GOOD + "\n"):
        await evaluator.evaluate(code, TINY)
    assert (shown[0] == shown[1]).all()
    assert (shown[0] != shown[2]).any()
    assert sorted(image.tobytes() for image in shown[2]) == sorted(image.tobytes() for image in DATA.heldout_images)


@pytest.mark.parametrize(
    ("code", "outcome", "said"),
    [
        ("x = 1\0", Outcome.SYNTAX_ERROR, "NUL"),
        ("x = '\ud800'", Outcome.SYNTAX_ERROR, "UTF-8"),
        ("#" * (SOURCE_LIMIT + 1), Outcome.CONTRACT_ERROR, "1048577 bytes"),
    ],
)
async def test_text_that_is_no_source_needs_no_sandbox(evaluator, sandbox, code, outcome, said):
    evaluation = await evaluator.evaluate(code, TINY)
    assert (evaluation.outcome, evaluation.stage) == (outcome, "parse")
    assert said in evaluation.detail
    assert sandbox.jobs == []


async def test_a_data_set_is_loaded_once(sandbox):
    loads = []
    evaluator = Evaluator(sandbox, lambda spec: loads.append(spec) or quadrants(spec))
    for _ in range(3):
        await evaluator.evaluate(GOOD, TINY)
    await evaluator.close()
    assert loads == [TINY.dataset]


async def test_the_protocol_says_what_networks_are_given_instead_of_the_images_own(evaluator, sandbox):
    given = Normalisation(mean=(0.5,), std=(0.25,))
    await evaluator.evaluate(GOOD, TINY)
    await evaluator.evaluate(GOOD, TINY.model_copy(update={"resize": 16, "normalise": given}))
    plain, changed = (job.task for job in sandbox.jobs)
    assert (plain.shape, plain.resize, plain.mean) == ((1, 8, 8), None, tuple(DATA.mean.tolist()))
    assert (changed.shape, changed.resize, changed.mean, changed.std) == ((1, 16, 16), 16, (0.5,), (0.25,))
    assert [array.shape for array in sandbox.jobs[1].arrays] == [(256, 1, 8, 8), (256,), (120, 1, 8, 8)]
