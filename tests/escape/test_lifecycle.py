"""The sandbox itself: it ends with its service, is replaced when it dies, and frees what it took."""

import asyncio
import os
import signal
import time
from contextlib import suppress

import psutil
import pytest

from archloop.contracts.values import Outcome, SandboxLevel
from archloop.errors import SandboxUnavailable, Unavailable
from services.evaluator.devices import Device
from services.evaluator.evaluator import Evaluator
from services.evaluator.sandbox import cgroup, fork_server, job_runner
from services.evaluator.sandbox.client import ForkServerSandbox
from services.evaluator.sandbox.container_checks import missing_protections
from tests.escape.arena import SLEEPER
from tests.unit.evaluator.support import GOOD, HELDOUT, TINY, good, quadrants, unvarying

pytestmark = pytest.mark.asyncio(loop_scope="session")

SLEEP = good(before="import time\ntime.sleep(1000)")
LONG = SLEEPER.model_copy(update={"limits": TINY.limits})


async def child_of(sandbox: ForkServerSandbox) -> psutil.Process:
    """The one candidate that is running."""
    server = psutil.Process(sandbox.pid).children()[0]
    while not (children := server.children()):
        await asyncio.sleep(0.01)
    return children[0]


@pytest.mark.parametrize("times", [1, 3])
async def test_a_candidate_that_is_cancelled_is_gone_and_its_slot_free(arena, times):
    task = asyncio.create_task(arena.evaluator.evaluate(SLEEP, LONG))
    child = await child_of(arena.sandbox)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not child.is_running()
    await arena.contained(GOOD, Outcome.OK)


async def test_a_fork_server_that_dies_is_nobodys_outcome_and_is_replaced(arena):
    task = asyncio.create_task(arena.evaluator.evaluate(SLEEP, LONG))
    child = await child_of(arena.sandbox)
    psutil.Process(arena.sandbox.pid).children()[0].kill()
    with pytest.raises(Unavailable):
        await task
    await gone([child])
    assert (await arena.evaluator.evaluate(GOOD, TINY)).outcome is Outcome.OK
    await arena.contained(GOOD, Outcome.OK)


@pytest.mark.parametrize("frozen", ["launcher", "fork server", "candidate"])
async def test_one_who_is_frozen_is_nobodys_outcome_and_holds_up_the_slot_for_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch, arena, frozen
):
    monkeypatch.setattr(job_runner, "_GRACE_S", 1.0)
    brief = LONG.model_copy(update={"limits": LONG.limits.model_copy(update={"wall_seconds": 1.0})})
    task = asyncio.create_task(arena.evaluator.evaluate(SLEEP, brief))
    child = await child_of(arena.sandbox)
    launcher = psutil.Process(arena.sandbox.pid)
    held = {"launcher": launcher, "fork server": launcher.children()[0], "candidate": child}[frozen]
    held.suspend()
    while held.status() != psutil.STATUS_STOPPED:
        await asyncio.sleep(0.01)
    assert not task.done()
    try:
        if frozen == "fork server":
            with pytest.raises(Unavailable, match="does not answer"):
                await task
        else:  # the fork server goes by the clock; it needs neither of them to kill the candidate
            assert (await task).outcome is Outcome.TIMEOUT
    finally:
        with suppress(psutil.NoSuchProcess):
            held.resume()
    await gone([child])
    assert (await arena.evaluator.evaluate(GOOD, TINY)).outcome is Outcome.OK


async def test_a_fork_server_that_did_not_start_is_started_at_the_next_candidate(monkeypatch: pytest.MonkeyPatch):
    sandbox = ForkServerSandbox([Device.cpu()])
    evaluator = Evaluator(sandbox, quadrants, HELDOUT)
    await sandbox.start()
    psutil.Process(sandbox.pid).kill()
    with monkeypatch.context() as slow:
        slow.setattr(fork_server, "_START_TIMEOUT_S", 0)
        for seen in ("not ready|died", "not ready"):  # at first the dead one may not have been noticed
            with pytest.raises(Unavailable, match=seen):
                await evaluator.evaluate(GOOD, TINY)
    assert (await evaluator.evaluate(GOOD, TINY)).outcome is Outcome.OK
    await sandbox.close()
    await evaluator.close()


async def test_two_candidates_at_once_are_measured_as_they_are_alone(arena):
    alone = await arena.evaluator.evaluate(GOOD, TINY)
    both = await asyncio.gather(*(arena.evaluator.evaluate(GOOD, TINY) for _ in range(4)))
    assert all(unvarying(evaluation) == unvarying(alone) for evaluation in both)


async def test_two_candidates_at_once_do_not_see_each_other(arena):
    leave = good(before="""
import os, time
open('left', 'w').write('x')
ran("left", time.monotonic())
time.sleep(1.2)
os.unlink('left')
ran("gone", time.monotonic())
""")  # fmt: skip
    look = good(before="""
import os, time
time.sleep(0.4)
ran("looked", time.monotonic())
assert not os.path.exists('left') and os.getpid() == 1
""")  # fmt: skip
    told = await asyncio.gather(*(arena.evaluator.evaluate(code, TINY) for code in (leave, look)))
    assert [one.outcome for one in told] == [Outcome.OK, Outcome.OK]
    first, second = (arena.witness.taken(code) for code in (leave, look))
    assert float(first["left"]) < float(second["looked"]) < float(first["gone"])


async def test_closing_frees_processes_descriptors_and_groups():
    before = psutil.Process().num_fds()
    sandbox = ForkServerSandbox([Device.cpu()] * 2)
    evaluator = Evaluator(sandbox, quadrants, HELDOUT)
    await sandbox.start()
    await evaluator.evaluate(GOOD, TINY)
    launcher = psutil.Process(sandbox.pid)
    tree = [launcher, *launcher.children(recursive=True)]
    groups = [d for slot in sandbox.slots if slot.group for d in slot.group.directories]
    await sandbox.close()
    await evaluator.close()
    assert [p for p in tree if p.is_running()] == []
    assert [d for d in groups if d.exists()] == []
    assert psutil.Process().num_fds() == before


async def test_groups_of_a_service_that_was_killed_are_swept():
    group = cgroup.create(slot=77)
    if group is None:
        pytest.skip("this machine gives no cgroups")
    stale = [d.rename(d.with_name("archloop-4194304-0-x")) for d in group.directories]
    cgroup.create(slot=78).remove()
    assert [d for d in stale if d.exists()] == []


@pytest.mark.skipif(not missing_protections(), reason="this is a hardened container")
async def test_a_level_that_cannot_be_had_is_refused():
    sandbox = ForkServerSandbox([Device.cpu()], required=SandboxLevel.CONTAINER)
    with pytest.raises(SandboxUnavailable, match="container"):
        await sandbox.start()
    await sandbox.close()


async def gone(processes: list[psutil.Process], timeout: float = 10) -> None:
    """Return when they are; fail if they stay."""
    deadline = time.monotonic() + timeout
    while any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes):
        assert time.monotonic() < deadline, processes
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_nothing_outlives_a_service_that_is_killed(arena, run_service, number):
    service = await run_service("namespaces", SLEEP)
    launcher = psutil.Process(await service.ready())
    while len(tree := [launcher, *launcher.children(recursive=True)]) < 3:
        await asyncio.sleep(0.02)
    os.kill(service.pid, number)
    await gone(tree)
