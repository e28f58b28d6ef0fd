"""One candidate is one process: it starts no other, and harms none."""

import pytest

from archloop.contracts.values import Outcome
from tests.escape.arena import RUNAWAY, SLEEPER
from tests.unit.evaluator.support import good

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    "attempt",
    ["while True: os.fork()",
     "os.execv('/usr/bin/true', ['true'])",
     "os.posix_spawn('/usr/bin/true', ['true'], {})",
     "__import__('subprocess').run(['true'])",
     "os.popen('true').read()",
     "os.spawnv(os.P_WAIT, '/usr/bin/true', ['true'])",
     "__import__('multiprocessing').get_context('fork').Process(target=print).start()"],
)  # fmt: skip
async def test_it_starts_no_process(arena, attempt):
    told = await arena.contained(good(before=f"import os\n{attempt}"), Outcome.FORBIDDEN)
    assert told.detail.startswith("PermissionError: [Errno 1]")


async def test_a_shell_in_the_background_is_none(arena):
    await arena.contained(good(before='import os\nran("status", os.system("sleep 100 &"))'), Outcome.OK)
    assert arena.marks == {"status": str(127 << 8)}, "what system(3) says where no shell could be started"


@pytest.mark.parametrize("attempt", ["__import__('pty').fork()", "os.openpty()", "open('/dev/ptmx')"])
async def test_there_is_no_terminal_to_start_one_on(arena, attempt):
    told = await arena.contained(good(before=f"import os\n{attempt}"), Outcome.BUILD_ERROR, Outcome.FORBIDDEN)
    assert "pty devices" in told.detail or told.detail.startswith(("FileNotFoundError", "PermissionError"))


async def test_a_fork_bomb_below_python_ends_at_its_limit(arena):
    bomb = """
libc = __import__('ctypes').CDLL(None)
while True:
    ran("forked", (libc.fork(), libc.vfork(), libc.syscall(435, 0, 0)))
"""
    await arena.contained(good(before=bomb), Outcome.TIMEOUT, protocol=RUNAWAY)
    assert arena.marks == {"forked": "(-1, -1, -1)"}


async def test_a_thread_bomb_hits_the_limit_of_tasks(arena):
    bomb = """
import time
threading = __import__("threading")
while True:
    threading.Thread(target=time.sleep, args=(99,), daemon=True).start()
    ran("started")
"""
    await arena.contained(good(before=bomb), Outcome.FORBIDDEN, Outcome.OUT_OF_MEMORY)


async def test_threads_cannot_multiply_its_cpu_time(arena):
    spin = """
hashlib, t = __import__('hashlib'), __import__('threading')
content = bytes(1 << 20)
def spin():
    ran(f"spun_{t.current_thread().name}")
    while True:
        hashlib.sha256(content)  # lets go of the interpreter's lock
for number in range(4):
    t.Thread(target=spin, daemon=True, name=str(number)).start()
ran("started")
spin()
"""
    told = await arena.contained(good(before=spin), Outcome.TIMEOUT, protocol=RUNAWAY)
    assert told.cpu_seconds < 4 * RUNAWAY.limits.cpu_seconds
    assert {"spun_0", "spun_1", "spun_2", "spun_3", "spun_MainThread"} <= arena.marks.keys()


@pytest.mark.parametrize("target", ["os.getppid()", "-1", "0", "2", "4242", "-os.getpid()"])
async def test_it_kills_nobody(arena, target):
    told = await arena.contained(good(before=f"import os\nos.kill({target}, 9)"), Outcome.FORBIDDEN)
    assert told.detail.startswith("PermissionError: [Errno 1]")


async def test_its_own_death_is_its_own(arena):
    await arena.contained(good(before="import os\nos.abort()"), Outcome.CRASHED)


async def test_a_daemon_that_ignores_every_signal_is_killed(arena):
    daemon = """
import os, time
signal = __import__("signal")
ignored = 0
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
        ignored += 1
    except (OSError, ValueError):
        pass
try:
    os.setsid()
except OSError:
    pass
ran("ignored", ignored)
time.sleep(1000)
"""
    await arena.contained(good(before=daemon), Outcome.TIMEOUT, protocol=SLEEPER)
    assert int(arena.marks["ignored"]) > 50


async def test_it_cannot_outlive_its_parent_by_asking_not_to(arena):
    code = good(before="ran(\"refused\", __import__('ctypes').CDLL(None).prctl(1, 0))")
    await arena.contained(code, Outcome.OK)
    assert arena.marks == {"refused": "-1"}


async def test_priorities_and_limits_cannot_be_raised(arena):
    raise_them = """
import os
r = __import__('resource')
for limit in (r.RLIMIT_AS, r.RLIMIT_CPU, r.RLIMIT_NPROC):
    try:
        r.setrlimit(limit, (r.RLIM_INFINITY, r.RLIM_INFINITY))
    except (OSError, ValueError):
        ran(f"refused_{limit}")
        continue
    raise AssertionError(limit)
ran("nice")
os.nice(-5)
"""
    told = await arena.contained(good(before=raise_them), Outcome.FORBIDDEN)
    assert told.detail.startswith("PermissionError: [Errno 1]")
    assert len(arena.marks) == 4
