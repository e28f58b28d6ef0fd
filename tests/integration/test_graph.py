"""The graph of a network as the sandbox tells it, and that telling it changes nothing else."""

import json

import pytest

from archloop.contracts.values import Outcome
from archloop_cli import scoring
from services.evaluator.tracing import traced
from tests.unit.evaluator.support import GOOD, ROOMY

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

FORWARD = "        return self.head(self.features(x).flatten(1))\n"
RESPELT = (
    GOOD.replace("features", "stem")
    .replace("nn.ReLU()", "nn.ReLU(inplace=True)")
    .replace(
        FORWARD.replace("features", "stem"),
        "        y = self.stem(x)\n        return self.head.forward(y.view(-1, 32))\n",
    )
)
WIDER = GOOD.replace("in_shape[1], 8, 3", "in_shape[1], 16, 3").replace("(8)", "(16)").replace("Linear(32", "Linear(64")
BUILT = "        super().__init__()\n"


def third(statement: str) -> str:
    """The good network, and what it does from its third construction on; the second is the one that is trained."""
    counted = f"        built.append(1)\n        if len(built) > 2: {statement}\n"
    held = "import builtins, os\nbuilt = builtins.__dict__.setdefault('built', [])\n"
    return held + GOOD.replace(BUILT, BUILT + counted)


async def test_a_respelling_has_the_graph_of_the_network_and_a_wider_one_has_another(evaluator):
    good, respelt, wider = [await evaluator.evaluate(code, ROOMY) for code in (GOOD, RESPELT, WIDER)]
    assert [told.outcome for told in (good, respelt, wider)] == [Outcome.OK] * 3
    assert good.graph_sha256 == respelt.graph_sha256 != wider.graph_sha256
    assert good.untraced == ""


async def test_it_is_the_same_under_other_conditions_and_without_training(evaluator):
    wish = ROOMY.model_copy(update={"precision": "bfloat16", "memory_format": "channels_last"})
    plain, wished = await evaluator.evaluate(GOOD, ROOMY), await evaluator.evaluate(GOOD, wish)
    told = await traced(evaluator.sandbox, GOOD, ROOMY)
    assert plain.graph_sha256 == wished.graph_sha256 == told.measures.graph_sha256
    assert told.outcome is Outcome.OK


@pytest.mark.parametrize(
    ("statement", "why"),
    [("raise ValueError('no more')", "ValueError: no more"),
     ("raise SystemExit", "SystemExit"),
     ("raise KeyboardInterrupt", "KeyboardInterrupt"),
     ("raise MemoryError", "MemoryError"),
     ("self.forward = lambda x: x.no_such_thing", "AttributeError"),
     ("raise ValueError('\\ud800' * 1000)", "ValueError: ??"),
     ("os._exit(3)", "ended with status 3"),
     ("[os.write(1, bytes(2**14)) for _ in iter(int, 1)]", "more than 16384 bytes of output"),
     ("self.register_forward_hook(lambda net, given, made: made * float(made.mean()))", "the program reads numbers")],
)  # fmt: skip
async def test_a_network_that_has_no_graph_is_scored_as_without_one(evaluator, statement, why):
    expected, told = await evaluator.evaluate(GOOD, ROOMY), await evaluator.evaluate(third(statement), ROOMY)
    assert (told.outcome, told.accuracy, told.test_accuracy) == (Outcome.OK, expected.accuracy, expected.test_accuracy)
    assert told.graph_sha256 is None
    assert told.untraced.startswith(why)
    assert len(told.untraced) <= 200


async def test_a_network_that_fails_is_not_followed(evaluator):
    told = await evaluator.evaluate(GOOD.replace(FORWARD, "        return x.no_such_thing\n"), ROOMY)
    assert (told.outcome, told.graph_sha256, told.untraced) == (Outcome.SHAPE_ERROR, None, "")


def test_files_are_compared_by_their_graphs_where_that_is_asked_for(tmp_path, capsys):
    any_size = [code.replace("nn.MaxPool2d(4)", "nn.AdaptiveMaxPool2d(2)") for code in (GOOD, RESPELT, WIDER)]
    for number, code in enumerate([*any_size, GOOD.replace("nn.MaxPool2d(4)", "nn.Nothing()")]):
        (tmp_path / f"{number}.py").write_text(code)
    assert scoring.novelty([tmp_path], 0.85, "shapes", as_json=True) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["verdict"] for each in told[:2]] == ["novel", "exact_duplicate"]
    assert "exact_duplicate" not in [each["verdict"] for each in told[2:]]
