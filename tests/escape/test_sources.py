"""Source that is made to break whoever reads it."""

import pytest

from archloop.contracts.values import Outcome
from tests.escape.arena import RUNAWAY
from tests.unit.evaluator.support import GOOD, good

pytestmark = pytest.mark.asyncio(loop_scope="session")

BROKEN = (Outcome.SYNTAX_ERROR, Outcome.CONTRACT_ERROR)


@pytest.mark.parametrize(
    "source",
    ["(" * 100_000,
     "x = " + "(" * 150 + ")" * 150,
     "x = " + "-" * 400_000 + "1",
     "x = " + "+".join(["1"] * 200_000),
     "x = " + "a." * 100_000 + "a",
     "lambda: " * 50_000 + "0",
     "[" * 90 + "0" + "]" * 90 + ("\nif 1:" + "\n" + " ") * 99,
     "x = f'" + "{f'" * 200,
     "x = 9" + "9" * 500_000],
    ids=range(9),
)  # fmt: skip
async def test_deep_nesting_breaks_itself_only(arena, source):
    await arena.contained(source, *BROKEN, refused="it attacks the parser, and holds no network")


async def test_fifty_megabytes_are_not_even_parsed(arena):
    told = await arena.contained("#" * 50_000_000, Outcome.CONTRACT_ERROR, refused="1 MiB of source is the limit")
    assert told.seconds == 0


@pytest.mark.parametrize("source", ["x\0y", "'\udcff'", "# coding: utf-7\n+AGkAbQBwAG8AcgB0-"])
async def test_strange_characters_are_a_syntax_error(arena, source):
    await arena.contained(source, Outcome.SYNTAX_ERROR, refused="it is no UTF-8 text, or no Python")


@pytest.mark.parametrize("source", ["", "\n\n", "# nothing", "pass"])
async def test_nothing_is_a_contract_error(arena, source):
    await arena.contained(source, Outcome.CONTRACT_ERROR, refused="there is no Net")


@pytest.mark.parametrize(
    ("hook", "outcomes"),
    [("import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
      (Outcome.CRASHED, Outcome.TIMEOUT, Outcome.OUT_OF_MEMORY, Outcome.BUILD_ERROR)),
     ("import sys\nsys.settrace(lambda *a: (_ for _ in ()).throw(ValueError('trace')))", (Outcome.BUILD_ERROR,)),
     ("raise type('E' * 10_000, (Exception,), {'__str__': lambda s: 'x' * 10**7})()", (Outcome.BUILD_ERROR,)),
     ("class E(Exception):\n    def __str__(self): raise E()\nraise E()", (Outcome.BUILD_ERROR, Outcome.CRASHED)),
     ("class E(BaseException):\n    def __str__(self): raise E()\nraise E()", (Outcome.CRASHED,)),
     ("import sys\nsys.excepthook = sys.unraisablehook = None\nraise ValueError", (Outcome.BUILD_ERROR,))],
    ids=range(6),
)  # fmt: skip
async def test_side_effects_of_importing_it_are_its_own(arena, hook, outcomes):
    await arena.contained(good(before=hook), *outcomes, protocol=RUNAWAY)


@pytest.mark.parametrize(
    ("method", "outcomes"),
    [("__call__(cls, *a): ran('called'); raise RecursionError('meta')", (Outcome.BUILD_ERROR,)),
     ("__call__(cls, *a): ran('called'); return object()", (Outcome.CONTRACT_ERROR,)),
     ("__getattribute__(cls, name): ran('called'); raise ValueError(name)", (Outcome.BUILD_ERROR,)),
     ("__new__(meta, *a): ran('called'); return 3", (Outcome.CONTRACT_ERROR,)),
     ("mro(cls): ran('called'); return [cls, object]", (Outcome.CONTRACT_ERROR, Outcome.BUILD_ERROR)),
     ("__prepare__(name, bases): ran('called'); return dict.fromkeys('abc')", (Outcome.OK,)),
     ("__init__(cls, *a): ran('called'); raise KeyboardInterrupt", (Outcome.CRASHED,))],
    ids=["raises", "another object", "attributes", "no class", "no module", "namespace", "interrupts"],
)  # fmt: skip
async def test_a_class_of_a_hostile_class_is_its_own_problem(arena, method, outcomes):
    code = good(before=f"class Meta(type):\n    def {method}")
    await arena.contained(code.replace("(nn.Module)", "(nn.Module, metaclass=Meta)"), *outcomes)


async def test_a_million_lines_of_comment_are_still_a_network(arena):
    await arena.contained(GOOD + "#\n" * 90_000, Outcome.OK)
