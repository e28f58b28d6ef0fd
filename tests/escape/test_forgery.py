"""Whatever a candidate says about itself, its score is what its predictions are worth."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from archloop.contracts.values import Outcome
from services.evaluator.evaluator import Evaluator
from tests.escape.forging import FORGE, FRAMES, REST
from tests.unit.evaluator.support import HELDOUT, TINY, good, quadrants

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_early_answer_is_scored_like_any_other(arena):
    forged = f"{FORGE}\nsend(say([0] * 120, {REST})); os._exit(0)"
    told = await arena.contained(good(before=forged), Outcome.BELOW_CHANCE)
    assert told.accuracy == 0.25


async def test_the_data_sets_own_order_is_no_help(arena):
    forged = f"{FORGE}\nsend(say([i % 4 for i in range(120)], {REST})); os._exit(0)"
    told = await arena.contained(good(before=forged), Outcome.BELOW_CHANCE, Outcome.OK)
    assert told.accuracy < 0.45


@pytest.mark.parametrize(
    "claim",
    [f"say([0] * 120, {REST}, accuracy=1.0)",
     f"say([9] * 120, {REST})",
     f"say([-1] * 120, {REST})",
     f"say([0] * 119, {REST})",
     f"say([0] * 121, {REST})",
     f"say([0] * 120, {REST}) * 2",
     f"say([0] * 120, {REST}, outcome='excellent')",
     "say([0] * 120)",
     "say([0] * 120, ('predict',))",
     "b'accuracy: 1.0'",
     "frame(b'S', b'shape')",
     "struct.pack('<cI', b'P', 2**32 - 1)"],
)  # fmt: skip
async def test_a_claim_of_another_form_is_a_crash(arena, claim):
    told = await arena.contained(good(before=f"{FORGE}\nsend({claim}); os._exit(0)"), Outcome.CRASHED)
    assert told.accuracy is None


async def test_answering_and_going_on_is_a_crash(arena):
    await arena.contained(good(before=f"{FORGE}\nsend(say([0] * 120, {REST}))"), Outcome.CRASHED)


async def test_answering_twice_at_the_end_is_a_crash(arena):
    code = good(before=FORGE, forward="if not self.training and len(x) > 100: send(say([0] * 120, ()))")
    await arena.contained(code, Outcome.CRASHED)


async def test_answers_on_every_other_descriptor_go_nowhere(arena):
    spray = f"""{FRAMES}
refused = 0
for fd in [0, *range(4, 64)]:
    try:
        os.write(fd, say([0] * 120, {REST}))
    except OSError:
        refused += 1
ran("refused", refused)
"""
    await arena.contained(good(before=spray), Outcome.OK)
    assert arena.marks == {"refused": "61"}


@pytest.mark.parametrize(
    "patch",
    ["torch.Tensor.argmax = lambda self, *a, **k: torch.zeros(len(self), dtype=torch.int64)",
     "torch.cat = lambda parts: torch.zeros(120)"],
)  # fmt: skip
async def test_patching_torch_changes_its_own_predictions_only(arena, patch):
    told = await arena.contained(good(before=f"import torch\n{patch}"), Outcome.BELOW_CHANCE)
    assert told.accuracy == 0.25


@pytest.mark.parametrize(
    "patch",
    ["import json\njson.dumps = lambda *a, **k: '{\"outcome\": \"ok\", \"accuracy\": 1.0}'",
     "import os\nos.write = lambda fd, data: len(data)",
     "import os, sys\nos._exit = lambda code: None\nsys.exit(0)",
     "__import__('builtins').isinstance = lambda *a: True",
     "import sys\nsys.modules.clear()"],
)  # fmt: skip
async def test_patching_the_harness_gains_nothing(arena, patch):
    told = await arena.contained(
        good(before=patch), Outcome.CRASHED, Outcome.BUILD_ERROR, Outcome.SHAPE_ERROR, Outcome.TRAIN_ERROR
    )
    assert told.accuracy is None


# The harness's own arrays, found by walking up the frames that called the candidate.
FIND = """
import sys
def found(name):
    frame = sys._getframe()
    while frame is not None:
        if hasattr(frame.f_locals.get("self"), name):
            return getattr(frame.f_locals["self"], name)
        frame = frame.f_back
"""


@pytest.mark.parametrize("name", ["_images", "_labels", "_heldout"])
async def test_what_it_spoils_in_memory_is_spoilt_for_itself(arena, name):
    spoil = f"{FIND}\nran(\"spoilt\", int(found('{name}').zero_().sum()))"
    told = await arena.contained(good(before=spoil), Outcome.BELOW_CHANCE)
    assert arena.marks == {"spoilt": "0"}
    assert told.accuracy <= 0.25 * TINY.below_chance_factor


@pytest.mark.parametrize(
    "patch",
    ["torch.nn.Linear.forward = lambda self, x: x",
     "torch.nn.Conv2d.forward = lambda self, x: None",
     "torch.nn.functional.cross_entropy = lambda *a: torch.tensor(float('nan'), requires_grad=True)",
     "torch.optim.SGD.step = lambda self: 1 / 0",
     "torch.manual_seed = __import__('numpy').random.seed = lambda seed: 1 / 0"],
)  # fmt: skip
async def test_a_patched_library_is_patched_for_itself(arena, patch):
    others = (Outcome.SHAPE_ERROR, Outcome.BUILD_ERROR, Outcome.TRAIN_ERROR, Outcome.BELOW_CHANCE)
    told = await arena.contained(good(before=f"import torch\n{patch}"), *others)
    assert told.accuracy is None or told.outcome is Outcome.BELOW_CHANCE


async def test_training_labels_are_no_held_out_labels(arena):
    answer = """
if not self.training and len(x) > 2:
    ran("peeked", len(found("_labels")))
    return nn.functional.one_hot(found("_labels")[: len(x)], 4).float()
"""
    code = good(before=FIND, forward=answer)
    told = await arena.contained(code, Outcome.BELOW_CHANCE, Outcome.OK)
    assert told.accuracy < 0.45
    assert arena.marks["peeked"] == str(TINY.dataset.train)


async def test_a_table_of_labels_by_image_recognises_nothing(arena):
    """Who has a public data set knows every label, and no image as it is shown; without changes it would know all."""
    data = quadrants(TINY.dataset)
    table = {hashlib.md5(image.tobytes()).hexdigest(): int(label)
             for image, label in zip(data.heldout_images, data.heldout_labels, strict=True)}  # fmt: skip
    mean, std = float(data.mean[0]), float(data.std[0])
    look = f"""
if not self.training and len(x) > 2:
    ran("looked")
    pixels = ((x * {std!r} + {mean!r}) * 255).round().to(torch.uint8)
    keys = [__import__("hashlib").md5(bytes(image.flatten().tolist())).hexdigest() for image in pixels]
    return nn.functional.one_hot(torch.tensor([TABLE.get(key, 0) for key in keys]), 4).float()
"""
    code = good(before=f"TABLE = {table!r}", forward=look)
    told = await arena.contained(code, Outcome.BELOW_CHANCE)
    assert told.accuracy == np.mean(data.heldout_labels[:80] == 0)
    unchanged = Evaluator(arena.sandbox, lambda _: replace(data, public=False), HELDOUT)
    told = await unchanged.evaluate(code, TINY)
    await unchanged.close()
    assert (told.accuracy, told.test_accuracy) == (1.0, 1.0)


async def test_measures_that_it_forges_stay_its_word(arena):
    patch = """
import sys
counter = sys.modules["services.evaluator.harness.flops"].FlopCounter
counter.total = property(lambda self: 10**30, lambda self, value: ran("counted", value))
"""
    told = await arena.contained(good(before=patch), Outcome.CRASHED)
    assert (told.accuracy, told.flops) == (None, None)


async def test_stages_announced_ahead_shift_time_between_stages_and_not_their_sum(arena):
    code = good(before=f"{FORGE}\nsend(frame(b'S', b'shape'))")
    told = await arena.contained(code, Outcome.CRASHED)
    assert sum(told.stage_seconds.values()) < told.seconds + 1


async def test_a_boast_about_parameters_stays_a_boast(arena):
    forged = f"{FORGE}\nsend(say([0] * 120, {REST}, parameters=10**30)); os._exit(0)"
    await arena.contained(good(before=forged), Outcome.CRASHED)


@pytest.mark.parametrize(
    "leave",
    [
        "os._exit(0)",
        "os._exit(7)",
        "os.abort()",
        "__import__('ctypes').string_at(0)",
        "raise SystemExit(0)",
        "raise KeyboardInterrupt",
    ],
)
async def test_leaving_early_is_a_crash(arena, leave):
    for place in ("before", "learn"):
        code = good(**{place: f"import os\n{leave}"})
        await arena.contained(code, Outcome.CRASHED)
