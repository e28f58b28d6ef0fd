"""Networks scored once more: what was scored before counts where it was scored on the same held-out images."""

from typing import ClassVar

import pytest

from archloop import protocols
from archloop.contracts.values import Evaluation, sha256_of
from archloop_lab import rescoring
from archloop_lab.rescoring import Network
from services.evaluator.secret import Secret
from tests.unit.evaluator.support import GOOD, HELDOUT

DIGITS = protocols.load("digits")
NETWORK = Network("r-c0-0", "0/0", 0.5, GOOD)


def logged(**changed) -> Evaluation:
    values = {
        "outcome": "ok",
        "stage": "predict",
        "protocol": "digits",
        "protocol_sha256": DIGITS.sha256,
        "code_sha256": sha256_of(GOOD),
        "accuracy": 0.5,
        "sandbox_level": "namespaces",
        "heldout_id": HELDOUT.id,
    }
    return Evaluation(**(values | changed))


@pytest.fixture
def scored(monkeypatch):
    """What was scored anew, by an evaluator that is not there."""

    class Double:
        secret = HELDOUT
        codes: ClassVar[list[str]] = []

        async def evaluate(self, code, protocol):
            self.codes.append(code)
            return logged(accuracy=0.75)

        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            return None

    monkeypatch.setattr(rescoring, "opened_evaluator", lambda _: Double())
    Double.codes.clear()
    return Double.codes


@pytest.mark.parametrize(("heldout_id", "accuracy"), [(HELDOUT.id, 0.5), (Secret.of("2" * 64).id, 0.75), (None, 0.75)])
async def test_what_is_logged_by_the_same_secret_is_not_done_again(tmp_path, scored, heldout_id, accuracy):
    log = tmp_path / "log.jsonl"
    log.write_text(logged(heldout_id=heldout_id).model_dump_json() + "\n")
    scores = await rescoring.score([NETWORK], [DIGITS], log, lambda *_: None)
    assert scores[NETWORK.name, "digits"].accuracy == accuracy
    assert scored == ([] if accuracy == 0.5 else [GOOD])
    again = await rescoring.score([NETWORK], [DIGITS], log, lambda *_: None)
    assert (again, scored) == (scores, [] if accuracy == 0.5 else [GOOD])
