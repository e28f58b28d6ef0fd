"""Root or not, with namespaces or without: the same outcomes, or a refusal that says what is missing."""

import asyncio
import os
import sys

import pytest

from archloop.contracts.values import Outcome
from services.evaluator.sandbox.container_checks import missing_protections
from tests.escape.arena import named
from tests.unit.evaluator.support import GOOD, good

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = {
    good(before="__import__('socket').socket()"): Outcome.FORBIDDEN,
    good(before="import os\nos.fork()"): Outcome.FORBIDDEN,
    good(before="open('/etc/archloop-escape', 'w')"): Outcome.FORBIDDEN,
    good(before="import os\nos.mkdir('/tmp/archloop-escape')"): None,
    good(before="open('/etc/hostname').read()"): None,
    good(before="import os\nos.kill(os.getppid(), 9)"): Outcome.FORBIDDEN,
    good(before="import os\nraise ValueError(dict(os.environ))"): Outcome.BUILD_ERROR,
    good(before="import torch\ntorch.zeros(1 << 34)"): Outcome.OUT_OF_MEMORY,
    good(before="__import__('ctypes').CDLL(None).syscall(101, 0, 0, 0, 0)"): Outcome.FORBIDDEN,
    good(before="import os\nwhile True: os.write(1, b'<<ran flood >>' * 100_000)"): Outcome.FORBIDDEN,
}
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


async def checked(service, level: str) -> None:
    """The good candidate is ok, before and after the hostile ones, which are what they are."""
    await service.ready()
    expected = [Outcome.OK, *HOSTILE.values(), Outcome.OK]
    told = [await service.line() for _ in expected]
    assert {line["sandbox_level"] for line in told} in ({level}, {"container"})
    for code, line, outcome in zip((GOOD, *HOSTILE, GOOD), told, expected, strict=True):
        assert outcome in (None, line["outcome"]), line
        assert named(code) <= line["marks"].keys(), line
    assert told[0]["accuracy"] == told[-1]["accuracy"]


@needs_root
async def test_any_other_user_gets_the_same_confinement(arena, run_service):
    await checked(await run_service("namespaces", GOOD, *HOSTILE, GOOD, options=["user=4321"]), "namespaces")


async def test_without_namespaces_it_refuses_and_says_which_setting_lowers_the_level(arena, run_service):
    service = await run_service("namespaces", GOOD, options=["bare"])
    refusal = (await service.line())["unavailable"]
    assert "unshare: Operation not permitted" in refusal
    assert "ARCHLOOP_EVALUATOR_REQUIRED_LEVEL=process" in refusal
    assert "risk" in refusal


@needs_root
async def test_the_process_level_holds_by_rlimits_seccomp_and_landlock(arena, run_service):
    service = await run_service("process", GOOD, *HOSTILE, GOOD, options=["user=4321", "bare"])
    await checked(service, "process")


@needs_root
async def test_the_process_level_passes_the_suite_that_every_level_must_pass():
    suite = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract/test_sandbox.py", "-k", "process", "-rs"]
    command = [
        "-m",
        "tests.escape.restricted",
        "user=4321",
        "bare",
        "--",
        *suite,
        "-o",
        "addopts=--import-mode=importlib",
    ]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told = (await process.communicate())[0].decode()
    assert process.returncode == 0, told
    assert " skipped" not in told, told


async def test_the_process_level_uses_namespaces_where_it_can(arena, run_service):
    service = await run_service("process", GOOD)
    await service.ready()
    expected = "namespaces" if missing_protections() else "container"
    assert (await service.line())["sandbox_level"] == expected
