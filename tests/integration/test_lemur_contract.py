"""Networks that LEMUR's trainer trains are trained here too: kinds of them that machinery around a network can reject.

Each kind is a table of networks, in lemur_contract.py.
"""

import pytest

from archloop.contracts.values import Outcome
from services.evaluator.devices import Device
from services.evaluator.evaluator import Evaluator
from services.evaluator.sandbox.client import ForkServerSandbox
from tests.integration.lemur_contract import DRAWN, HEAD, ONCE, TRAINED, WILFUL, changed
from tests.support import sampled
from tests.unit.evaluator.support import GOOD, HELDOUT, ROOMY, TINY, quadrants

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

WISHES = {
    "float32": TINY,
    "bfloat16": TINY.model_copy(update={"precision": "bfloat16"}),
    "channels_last": TINY.model_copy(update={"memory_format": "channels_last"}),
    "both": TINY.model_copy(update={"precision": "bfloat16", "memory_format": "channels_last"}),
}
LEARNT = 0.9  # the good network reaches 1.0, chance is 0.25


@pytest.mark.parametrize("name", TRAINED)
async def test_what_a_plain_loop_trains_is_trained(evaluator, name):
    found = await evaluator.evaluate(TRAINED[name], ROOMY)
    assert found.outcome is Outcome.OK, found.detail
    assert found.accuracy > LEARNT


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("name", WILFUL)
async def test_a_protocols_wish_is_no_candidates_flaw(evaluator, name, wish):
    found = await evaluator.evaluate(WILFUL[name], WISHES[wish])
    assert found.outcome is Outcome.OK, found.detail
    assert found.accuracy > LEARNT
    assert found.precision in ("float32", WISHES[wish].precision)
    assert found.memory_format in ("contiguous", WISHES[wish].memory_format)


@pytest.mark.parametrize("name", ONCE)
async def test_a_module_that_can_be_executed_only_once_is_trained_without_the_wishes(evaluator, name):
    found = await evaluator.evaluate(ONCE[name], WISHES["both"])
    assert found.outcome is Outcome.OK, found.detail
    assert found.accuracy > LEARNT
    assert (found.precision, found.memory_format) == ("float32", "contiguous")


@pytest.mark.parametrize(
    ("code", "kept"),
    [(GOOD, ("bfloat16", "channels_last")),
     (WILFUL["a kernel as one vector"], ("bfloat16", "contiguous")),
     (WILFUL["numpy in the forward pass"], ("float32", "channels_last"))],
)  # fmt: skip
async def test_a_wish_that_suits_is_kept_and_one_that_does_not_is_recorded(evaluator, code, kept):
    found = await evaluator.evaluate(code, WISHES["both"])
    assert (found.precision, found.memory_format) == kept


@pytest.mark.parametrize("name", sampled(DRAWN, 3))
async def test_the_same_source_scores_the_same_in_every_service(evaluator, name):
    """Each network tells what it drew, as its number of parameters; the services are two fork servers."""
    code = changed(
        (HEAD, f"{HEAD}\n        self.told = nn.Parameter(torch.zeros(int(N * 1e6)))"),
        before=f"import torch\n{DRAWN[name]}",
    )
    other = ForkServerSandbox([Device.cpu()])
    await other.start()
    again = Evaluator(other, quadrants, HELDOUT)
    try:
        found = [await each.evaluate(code, TINY) for each in (evaluator, again)]
    finally:
        await other.close()
        await again.close()
    assert found[0].outcome is Outcome.OK, found[0].detail
    assert found[0].parameters == found[1].parameters
    assert found[0].accuracy == found[1].accuracy
