"""One candidate is one process: it starts no other, and harms none."""

import pytest

from archloop.contracts.values import Outcome
from tests.escape.arena import RUNAWAY, SLEEPER
from tests.unit.evaluator.support import good

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    "attempt",
    ["while True: os.fork()",
     "os.system('sleep 100 &')",
     "os.execv('/usr/bin/true', ['true'])",
     "os.posix_spawn('/usr/bin/true', ['true'], {})",
     "__import__('subprocess').run(['true'])",
     "__import__('pty').fork()",
     "__import__('multiprocessing').get_context('fork').Process(target=print).start()"],
)  # fmt: skip
async def test_it_starts_no_process(arena, attempt):
    outcomes = (Outcome.FORBIDDEN, Outcome.OK) if "system" in attempt else (Outcome.FORBIDDEN, Outcome.BUILD_ERROR)
    await arena.contained(good(before=f"import os\n{attempt}"), *outcomes)


async def test_a_fork_bomb_below_python_ends_at_its_limit(arena):
    bomb = "libc = __import__('ctypes').CDLL(None)\nwhile True:\n    libc.fork(); libc.vfork(); libc.syscall(435, 0, 0)"
    await arena.contained(good(before=bomb), Outcome.TIMEOUT, protocol=RUNAWAY)


async def test_a_thread_bomb_hits_the_limit_of_tasks(arena):
    bomb = """
import time
threading = __import__("threading")
while True:
    threading.Thread(target=time.sleep, args=(99,), daemon=True).start()
"""
    await arena.contained(good(before=bomb), Outcome.FORBIDDEN, Outcome.OUT_OF_MEMORY)


async def test_threads_cannot_multiply_its_cpu_time(arena):
    spin = """
t = __import__('threading')
def spin():
    while True:
        sum(range(10**7))
for _ in range(4):
    t.Thread(target=spin, daemon=True).start()
spin()
"""
    told = await arena.contained(good(before=spin), Outcome.TIMEOUT, protocol=RUNAWAY)
    assert told.cpu_seconds < 4 * RUNAWAY.limits.cpu_seconds


@pytest.mark.parametrize("target", ["os.getppid()", "-1", "0", "2", "4242", "-os.getpid()"])
async def test_it_kills_nobody(arena, target):
    await arena.contained(good(before=f"import os\nos.kill({target}, 9)"), Outcome.FORBIDDEN)


async def test_its_own_death_is_its_own(arena):
    await arena.contained(good(before="import os\nos.abort()"), Outcome.CRASHED)


async def test_a_daemon_that_ignores_every_signal_is_killed(arena):
    daemon = """
import os, time
signal = __import__("signal")
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
try:
    os.setsid()
except OSError:
    pass
time.sleep(1000)
"""
    await arena.contained(good(before=daemon), Outcome.TIMEOUT, protocol=SLEEPER)


async def test_it_cannot_outlive_its_parent_by_asking_not_to(arena):
    await arena.contained(good(before="assert __import__('ctypes').CDLL(None).prctl(1, 0) == -1"), Outcome.OK)


async def test_priorities_and_limits_cannot_be_raised(arena):
    raise_them = """
import os
r = __import__('resource')
for limit in (r.RLIMIT_AS, r.RLIMIT_CPU, r.RLIMIT_NPROC):
    try:
        r.setrlimit(limit, (r.RLIM_INFINITY, r.RLIM_INFINITY))
    except (OSError, ValueError):
        continue
    raise AssertionError(limit)
os.nice(-5)
"""
    await arena.contained(good(before=raise_them), Outcome.FORBIDDEN)
