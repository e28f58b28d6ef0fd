import json
from dataclasses import replace

import numpy as np
import pytest

from archloop.contracts.values import Outcome
from archloop.protocols.model import Normalisation
from services.evaluator.devices import Device
from services.evaluator.evaluator import SOURCE_LIMIT, Evaluator
from services.evaluator.harness import frames
from services.evaluator.harness.arrays import mapped
from services.evaluator.secret import Secret
from tests.unit.evaluator.support import GOOD, HELDOUT, TINY, FakeSandbox, quadrants, stages

DATA = quadrants(TINY.dataset)


def answer(predicted) -> bytes:
    outcome = {"outcome": "ok", "detail": "", "parameters": 5, "losses": [1.5, 0.5]}
    payload = frames.pack(frames.PREDICTIONS, np.asarray(predicted, "<i4").tobytes())
    return stages() + payload + frames.pack(frames.OUTCOME, json.dumps(outcome).encode())


@pytest.fixture
def sandbox():
    return FakeSandbox()


@pytest.fixture
async def evaluator(sandbox):
    evaluator = Evaluator(sandbox, quadrants, HELDOUT)
    yield evaluator
    await evaluator.close()


async def in_secret_order(evaluator, sandbox):
    """The order in which GOOD is shown its images."""
    sha256 = (await evaluator.evaluate(GOOD, TINY)).code_sha256
    return HELDOUT.generator("order", f"{sha256}/{TINY.sha256}").permutation(120)


async def test_right_answers_are_ok_with_both_accuracies_and_the_parents_measures(evaluator, sandbox):
    order = await in_secret_order(evaluator, sandbox)
    sandbox.frames = answer(DATA.heldout_labels[order])
    evaluation = await evaluator.evaluate(GOOD, TINY)
    assert (evaluation.outcome, evaluation.accuracy, evaluation.test_accuracy) == (Outcome.OK, 1.0, 1.0)
    assert (evaluation.seconds, evaluation.cpu_seconds, evaluation.peak_memory_bytes) == (1.0, 0.5, 1000)
    assert (evaluation.parameters, evaluation.loss_curve) == (5, (1.5, 0.5))
    assert (evaluation.protocol, evaluation.protocol_sha256) == ("tiny", TINY.sha256)
    assert evaluation.heldout_id == HELDOUT.id


async def test_one_class_for_all_is_below_chance_and_keeps_its_accuracy(evaluator, sandbox):
    sandbox.frames = answer(np.zeros(120))
    evaluation = await evaluator.evaluate(GOOD, TINY)
    assert (evaluation.outcome, evaluation.accuracy) == (Outcome.BELOW_CHANCE, 0.25)
    assert "chance is 0.250" in evaluation.detail


@pytest.mark.parametrize(("right_of_validation", "right_of_test"), [(80, 0), (0, 40), (80, 12), (30, 40), (70, 6)])
async def test_what_is_right_about_one_split_and_not_about_the_other_is_suspect(
    evaluator, sandbox, right_of_validation, right_of_test
):
    order = await in_secret_order(evaluator, sandbox)
    told = (DATA.heldout_labels + 1) % 4
    for start, right in ((0, right_of_validation), (80, right_of_test)):
        told[start : start + right] = DATA.heldout_labels[start : start + right]
    sandbox.frames = answer(told[order])
    evaluation = await evaluator.evaluate(GOOD, TINY)
    validation, test = right_of_validation / 80, right_of_test / 40
    assert (evaluation.outcome, evaluation.accuracy, evaluation.test_accuracy) == (Outcome.SUSPECT, validation, test)
    assert evaluation.detail == f"accuracy {validation:.3f} on the validation split, {test:.3f} on the test split"
    assert not evaluation.valid
    spread = TINY.model_copy(update={"suspect_margin": 1.0})
    assert (await evaluator.evaluate(GOOD, spread)).outcome is not Outcome.SUSPECT


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


@pytest.fixture
async def shown(sandbox):
    """The held-out images that a network is shown: of this data set, by this secret, under this protocol."""

    async def look(code, data=DATA, secret=HELDOUT, protocol=TINY):
        seen = []

        async def run(job):
            seen.append(mapped(job.arrays[2].fd, job.arrays[2].dtype, job.arrays[2].shape).copy())
            return await FakeSandbox().run(job)

        sandbox.run = run
        evaluator = Evaluator(sandbox, lambda _: data, secret)
        await evaluator.evaluate(code, protocol)
        await evaluator.close()
        return seen[0]

    return look


DRAWN = replace(DATA, public=False)
OTHER = Secret.of("2" * 64)


async def test_held_out_images_are_shown_in_an_order_that_differs_by_code_and_secret(shown):
    seen = await shown(GOOD, DRAWN)
    assert (seen == await shown(GOOD, DRAWN)).all()
    for others in (await shown(GOOD + "\n", DRAWN), await shown(GOOD, DRAWN, OTHER)):
        assert (seen != others).any()
        assert sorted(image.tobytes() for image in others) == sorted(image.tobytes() for image in DATA.heldout_images)


async def test_labels_have_no_part_in_the_order_so_that_who_knows_them_does_not_know_it(shown):
    others = replace(DRAWN, heldout_labels=(DATA.heldout_labels + 1) % 4)
    assert (await shown(GOOD, DRAWN) == await shown(GOOD, others)).all()


async def test_public_images_are_shown_under_changes_that_differ_by_code_and_secret(shown):
    seen = await shown(GOOD)
    assert (seen == await shown(GOOD)).all()
    own = {image.tobytes() for image in DATA.heldout_images}
    for others in (seen, await shown(GOOD + "\n"), await shown(GOOD, secret=OTHER)):
        assert own.isdisjoint(image.tobytes() for image in others)
    assert {image.tobytes() for image in seen}.isdisjoint(image.tobytes() for image in await shown(GOOD + "\n"))


@pytest.mark.parametrize("flip", [True, False])
async def test_they_are_mirrored_where_training_images_are(shown, flip):
    dark_to_bright = np.broadcast_to(np.arange(100, 228, 16, dtype=np.uint8), (120, 1, 8, 8)).copy()
    data = replace(DATA, heldout_images=dark_to_bright)
    seen = (await shown(GOOD, data, protocol=TINY.model_copy(update={"flip": flip}))).astype(int)
    mirrored = seen[..., :2].sum((1, 2, 3)) > seen[..., -2:].sum((1, 2, 3))
    assert 40 < mirrored.sum() < 80 if flip else not mirrored.any()


@pytest.mark.parametrize(
    ("code", "outcome", "said"),
    [
        ("x = 1\0", Outcome.SYNTAX_ERROR, "NUL"),
        ("x = '\ud800'", Outcome.SYNTAX_ERROR, "UTF-8"),
        ("#" * (SOURCE_LIMIT + 1), Outcome.CONTRACT_ERROR, "196609 bytes"),
    ],
)
async def test_text_that_is_no_source_needs_no_sandbox(evaluator, sandbox, code, outcome, said):
    evaluation = await evaluator.evaluate(code, TINY)
    assert (evaluation.outcome, evaluation.stage) == (outcome, "parse")
    assert said in evaluation.detail
    assert sandbox.jobs == []


async def test_a_data_set_is_loaded_once(sandbox):
    loads = []
    evaluator = Evaluator(sandbox, lambda spec: loads.append(spec) or quadrants(spec), HELDOUT)
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
