"""Source that is made to break whoever reads it."""

import pytest

from archloop.contracts.values import Outcome
from tests.escape.arena import RUNAWAY
from tests.unit.evaluator.support import GOOD, good

pytestmark = pytest.mark.asyncio(loop_scope="session")

BROKEN = (Outcome.SYNTAX_ERROR, Outcome.CRASHED, Outcome.CONTRACT_ERROR, Outcome.OUT_OF_MEMORY)


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
    await arena.contained(source, *BROKEN)


async def test_fifty_megabytes_are_not_even_parsed(arena):
    told = await arena.contained("#" * 50_000_000, Outcome.CONTRACT_ERROR)
    assert told.seconds == 0


@pytest.mark.parametrize(
    "source", ["x\0y", "'\udcff'", "# coding: utf-7\n+AGkAbQBwAG8AcgB0-", "# coding: nonsense\nx = 1"]
)
async def test_strange_characters_are_a_syntax_error(arena, source):
    await arena.contained(source, Outcome.SYNTAX_ERROR, Outcome.CONTRACT_ERROR)


@pytest.mark.parametrize("source", ["", "\n\n", "# nothing", "pass"])
async def test_nothing_is_a_contract_error(arena, source):
    await arena.contained(source, Outcome.CONTRACT_ERROR)


@pytest.mark.parametrize(
    ("hook", "outcome"),
    [("import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()", Outcome.CRASHED),
     ("class M(type):\n    def __call__(cls, *a): raise RecursionError('meta')\nimport torch", Outcome.OK),
     ("import sys\nsys.settrace(lambda *a: (_ for _ in ()).throw(ValueError('trace')))", Outcome.BUILD_ERROR),
     ("raise type('E' * 10_000, (Exception,), {'__str__': lambda s: 'x' * 10**7})()", Outcome.BUILD_ERROR),
     ("class E(Exception):\n    def __str__(self): raise E()\nraise E()", Outcome.CRASHED)],
    ids=range(5),
)  # fmt: skip
async def test_side_effects_of_importing_it_are_its_own(arena, hook, outcome):
    others = (Outcome.BUILD_ERROR, Outcome.CRASHED, Outcome.OUT_OF_MEMORY, Outcome.TIMEOUT)
    await arena.contained(good(before=hook), outcome, *(others if outcome is not Outcome.OK else ()), protocol=RUNAWAY)


async def test_a_million_lines_of_comment_are_still_a_network(arena):
    await arena.contained(GOOD + "#\n" * 300_000, Outcome.OK)
