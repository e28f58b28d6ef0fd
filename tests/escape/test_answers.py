"""What a candidate answers with is taken in one form only, and then scored like any other answer."""

import pytest

from archloop.contracts.values import Outcome
from tests.escape.forging import FORGE
from tests.unit.evaluator.support import good

pytestmark = pytest.mark.asyncio(loop_scope="session")

# What the child's side of the answer could hold instead of what belongs there: outcomes and predictions as bytes.
OUTCOME = '{"outcome": "ok", "detail": "", "parameters": 1, "losses": %s}'
HONEST = f"({OUTCOME!r} % '[]').encode()"


@pytest.mark.parametrize(
    "payload",
    ["b'[' * 16000",
     "b'{\"a\":' * 3000",
     f"({OUTCOME!r} % '[NaN]').encode()",
     f"({OUTCOME!r} % '[1e999]').encode()",
     f"({OUTCOME!r} % ('[' + '1,' * 70 + '1]')).encode()",
     f"({OUTCOME!r} % '[true]').encode()",
     f"({OUTCOME!r} % '[]').encode() + b' ' * 17000",
     f"({OUTCOME!r} % '[]').encode('utf-16')",
     "pickle.dumps(Bomb())",
     "b'null'"],
)  # fmt: skip
async def test_an_outcome_of_another_form_is_a_crash(arena, payload):
    told = await arena.contained(answering("bytes(480)", payload), Outcome.CRASHED)
    assert told.accuracy is None


@pytest.mark.parametrize(
    "payload", ["pickle.dumps([0] * 120)", "b'\\x93NUMPY' + bytes(474)", "b'\\x7f' * 480", "bytes(4 * 120 + 1)"]
)
async def test_predictions_of_another_form_are_a_crash(arena, payload):
    told = await arena.contained(answering(payload, HONEST), Outcome.CRASHED)
    assert told.accuracy is None


async def test_the_same_in_the_right_form_is_scored(arena):
    told = await arena.contained(answering("bytes(480)", HONEST), Outcome.BELOW_CHANCE)
    assert told.accuracy == 0.25


def answering(predictions: str, outcome: str) -> str:
    """A candidate that answers with these bytes, given as expressions, and leaves."""
    tools = """
pickle = __import__("pickle")
class Bomb:
    def __reduce__(self):
        return print, ("boom",)
"""
    stages = "b''.join(frame(b'S', s) for s in (b'shape', b'train', b'predict'))"
    answer = f"{stages} + frame(b'P', {predictions}) + frame(b'O', {outcome})"
    return good(before=f"{FORGE}\n{tools}\nsend({answer}); os._exit(0)")
