"""The arena itself: a program whose attack does not run, or that runs where it should not, fails its test."""

import pytest

from archloop.contracts.values import Outcome
from tests.unit.evaluator.support import GOOD, RAN, good

pytestmark = pytest.mark.asyncio(loop_scope="session")

IDLE = {
    "turned away by the contract": (good(before="import no_such_module_at_all"), Outcome.CONTRACT_ERROR),
    "no Python": (good(before="open('/etc/x' 'w'"), Outcome.SYNTAX_ERROR),
    "fails before": (good(before="1 / 0\nran('attack')".replace("'", '"')), Outcome.BUILD_ERROR),
    "in a branch that nobody takes": (good(forward='if len(x) > 10**9:\n    ran("attack")'), Outcome.OK),
    "in a method that it does not reach": (good(init="self.nothing", learn="while True: pass"), Outcome.BUILD_ERROR),
    "in a function that nobody calls": (good(before='def attack():\n    ran("attack")'), Outcome.OK),
    "behind a failure that it swallows": (
        good(before='try:\n    1 / 0\n    ran("attack")\nexcept ArithmeticError:\n    pass'),
        Outcome.OK,
    ),
    "of its own making": (f"{RAN}\n{GOOD}\nraise ValueError('<<ran attack >>')", Outcome.BUILD_ERROR),
}  # fmt: skip


@pytest.mark.parametrize(("code", "outcome"), IDLE.values(), ids=IDLE)
async def test_an_attack_that_does_not_run_fails_its_test(arena, code, outcome):
    with pytest.raises(AssertionError, match="the attack did not run"):
        await arena.contained(code, outcome)


async def test_a_source_that_proves_nothing_fails_its_test(arena):
    for code, outcome in (("import os\n" + GOOD + "\nos.abort()", Outcome.CRASHED), (RAN + GOOD, Outcome.OK)):
        with pytest.raises(AssertionError, match="without marks"):
            await arena.contained(code, outcome)


@pytest.mark.parametrize(
    "code", [GOOD, good(before="pass"), good(learn="raise ValueError"), GOOD + "\nraise ValueError"]
)
async def test_a_source_that_is_to_be_refused_and_runs_fails_its_test(arena, code):
    with pytest.raises(AssertionError, match="to be refused"):
        await arena.contained(code, *Outcome, refused="it should not run")


@pytest.mark.parametrize("place", ["before", "init", "forward", "learn"])
async def test_an_attack_at_any_place_that_runs_is_told_apart(arena, place):
    await arena.contained(good(**{place: "pass"}), Outcome.OK)
    assert arena.marks == {place: ""}


async def test_a_mark_carries_what_the_attack_found(arena):
    await arena.contained(good(before='import os\nran("process", os.getpid())\nran("process", 7)'), Outcome.OK)
    assert arena.marks == {"process": "1"}
