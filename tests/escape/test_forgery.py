"""Whatever a candidate says about itself, its score is what its predictions are worth."""

import pytest

from archloop.contracts.values import Outcome
from tests.unit.evaluator.support import good

pytestmark = pytest.mark.asyncio(loop_scope="session")

# What a candidate that has read the harness would send: every stage, the answers, a verdict; then leave.
FORGE = """
import json, os, struct
def frame(kind, payload):
    return struct.pack("<cI", kind, len(payload)) + payload
def say(predictions, stages=("build", "shape", "train", "predict"), **more):
    data = b"".join(frame(b"S", stage) for stage in map(str.encode, stages))
    data += frame(b"P", struct.pack("<%di" % len(predictions), *predictions))
    verdict = {"outcome": "ok", "detail": "", "parameters": 1, "losses": [], **more}
    return data + frame(b"V", json.dumps(verdict).encode())
"""
REST = '("shape", "train", "predict")'


async def test_an_early_answer_is_scored_like_any_other(arena):
    forged = f"{FORGE}\nos.write(3, say([0] * 120, {REST})); os._exit(0)"
    told = await arena.contained(good(before=forged), Outcome.BELOW_CHANCE)
    assert told.accuracy == 0.25


async def test_the_data_sets_own_order_is_no_help(arena):
    forged = f"{FORGE}\nos.write(3, say([i % 4 for i in range(120)], {REST})); os._exit(0)"
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
    told = await arena.contained(good(before=f"{FORGE}\nos.write(3, {claim}); os._exit(0)"), Outcome.CRASHED)
    assert told.accuracy is None


async def test_answering_and_going_on_is_a_crash(arena):
    await arena.contained(good(before=f"{FORGE}\nos.write(3, say([0] * 120, {REST}))"), Outcome.CRASHED)


async def test_answering_twice_at_the_end_is_a_crash(arena):
    code = good(before=FORGE, forward="if not self.training and len(x) > 100: os.write(3, say([0] * 120, ()))")
    await arena.contained(code, Outcome.CRASHED)


async def test_answers_on_every_other_descriptor_go_nowhere(arena):
    spray = f"""{FORGE}
for fd in [0, *range(4, 64)]:
    try:
        os.write(fd, say([0] * 120, {REST}))
    except OSError:
        pass
"""
    await arena.contained(good(before=spray), Outcome.OK)


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


async def test_what_it_spoils_in_memory_is_spoilt_for_itself(arena):
    spoil = """
import sys, gc, torch, numpy
frame = sys._getframe()
while frame is not None:
    harness = frame.f_locals.get("self")
    for name in ("_images", "_labels", "_heldout"):
        if hasattr(harness, name):
            getattr(harness, name).zero_()
    frame = frame.f_back
torch.nn.Linear.forward = lambda self, x: x
torch.manual_seed = numpy.random.seed = lambda seed: None
"""
    await arena.contained(
        good(before=spoil), Outcome.BELOW_CHANCE, Outcome.SHAPE_ERROR, Outcome.BUILD_ERROR, Outcome.TRAIN_ERROR
    )


async def test_training_labels_are_no_held_out_labels(arena):
    peek = """
import sys
def labels():
    frame = sys._getframe()
    while frame is not None:
        if hasattr(frame.f_locals.get("self"), "_labels"):
            return frame.f_locals["self"]._labels
        frame = frame.f_back
"""
    code = good(
        before=peek,
        forward="if not self.training and len(x) > 2: return nn.functional.one_hot(labels()[: len(x)], 4).float()",
    )
    told = await arena.contained(code, Outcome.BELOW_CHANCE, Outcome.OK)
    assert told.accuracy < 0.45


async def test_a_boast_about_parameters_stays_a_boast(arena):
    forged = f"{FORGE}\nos.write(3, say([0] * 120, {REST}, parameters=10**30)); os._exit(0)"
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
