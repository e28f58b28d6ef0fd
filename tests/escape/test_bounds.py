"""What a candidate may take of the kernel is bounded by what counts it, and what it leaves there is taken back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import pytest_asyncio
import torch

from archloop.contracts.values import Outcome
from services.evaluator.sandbox.cgroup import Group
from tests.unit.evaluator.support import LIMITS, TINY, good

pytestmark = pytest.mark.asyncio(loop_scope="session")

HARD = {
    "RLIMIT_CORE": 0,
    "RLIMIT_MEMLOCK": 0,
    "RLIMIT_MSGQUEUE": 0,
    "RLIMIT_RTPRIO": 0,
    "RLIMIT_NICE": 0,
    "RLIMIT_SIGPENDING": 64,
    "RLIMIT_NOFILE": 64,
    "RLIMIT_STACK": 64 * 1024**2,
    "RLIMIT_CPU": 9,
}
_LIMITS = "r = __import__('resource')\n" + "\n".join(f"ran({n!r}, r.getrlimit(r.{n})[1])" for n in HARD)
_FILES = """
held = []
try:
    while len(held) < 10_000:
        held += os.pipe()
except OSError as error:
    refusal = error.errno
ran("descriptors", held[-1] + 1)
for fd in held:
    os.close(fd)
"""
SIGNALS = """
import os
signal = __import__("signal")
number = signal.SIGRTMIN
signal.pthread_sigmask(signal.SIG_BLOCK, [number])
for _ in range(1000):
    os.kill(os.getpid(), number)
kept = 0
while signal.sigtimedwait([number], 0) is not None:
    kept += 1
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def counted(somewhere):
    """The marks of a candidate that looks at its limits and goes as far as they let it."""
    ((told, marks),) = await somewhere.tried(good(before=f"{SIGNALS}\nran('signals', kept)\n{_FILES}\n{_LIMITS}"))
    assert told.outcome is Outcome.OK, told
    return marks


@pytest.mark.parametrize(("name", "limit"), HARD.items())
async def test_a_limit_cannot_be_raised_beyond(counted, name, limit):
    assert 0 <= int(counted[name]) <= limit


async def test_signals_are_queued_up_to_the_limit(counted):
    outside = subprocess.run([sys.executable, "-c", f"{SIGNALS}\nprint(kept)"], capture_output=True, check=True)
    assert int(outside.stdout) == 1000
    assert 1 <= int(counted["signals"]) <= 65


async def test_descriptors_end_at_the_limit(counted):
    assert int(counted["descriptors"]) <= 64


def group(arena) -> Group:
    """Of the arena's slots, which are alike."""
    found = arena.sandbox.slots[0].group
    if found is None:
        pytest.skip("this machine gives no cgroups")
    return found


def content(group: Group, name: str) -> str:
    return "".join(file.read_text() for directory in group.directories for file in directory.glob(name))


SPIN = """
import time
import torch
threading = __import__("threading")
square, end = torch.randn(300, 300), time.monotonic() + 1.5
def spin():
    while time.monotonic() < end:
        square @ square
cpu, wall = time.process_time(), time.monotonic()
spinning = [threading.Thread(target=spin) for _ in range(4)]
for thread in spinning:
    thread.start()
for thread in spinning:
    thread.join()
ran("share", (time.process_time() - cpu) / (time.monotonic() - wall))
"""


async def test_four_threads_get_the_cpu_time_of_a_slots_one(arena):
    if "CPU share" not in group(arena).bounds():
        pytest.skip("these cgroups bound no CPU share")
    code = good(before=SPIN)
    told = await arena.evaluator.evaluate(code, TINY)
    assert told.outcome is Outcome.OK, told
    assert float(arena.witness.taken(code)["share"]) < 1.3
    assert any("nr_periods 0" not in content(slot.group, "cpu.stat") for slot in arena.sandbox.slots)


LOOKUPS = """
import os
import torch
missing, own = 0, os.path.dirname(torch.__file__) + "/" + os.urandom(8).hex()
for number in range(300_000):
    try:
        os.stat(f"{own}{'x' * 200}{number}")
    except OSError:
        missing += 1
ran("missing", missing)
"""


async def test_names_that_it_looked_up_are_not_left_for_the_next_to_make_room_for(arena):
    used = group(arena).files.used
    code = good(before=LOOKUPS)
    told = await arena.evaluator.evaluate(code, TINY)
    assert told.outcome is Outcome.OK, told
    assert arena.witness.taken(code)["missing"] == "300000"
    left = [int(content(slot.group, used)) for slot in arena.sandbox.slots]
    assert max(left) < LIMITS.memory_bytes // 4, left


def looked_at(path: Path) -> float:
    return path.stat().st_atime


async def test_reading_a_librarys_file_leaves_no_time_behind(arena):
    """Where the file system keeps such times: a candidate that comes later could read them."""
    file = Path(torch.__file__).with_name("version.py")
    times = (1.0, file.stat().st_mtime)
    os.utime(file, times)
    code = good(before="import os\nimport torch\nran('read', len(open(torch.version.__file__).read()))")
    assert (await arena.evaluator.evaluate(code, TINY)).outcome is Outcome.OK
    assert int(arena.witness.taken(code)["read"]) > 0
    after = looked_at(file)
    file.read_bytes()
    if looked_at(file) == 1.0:
        pytest.skip("this file system keeps no times of reading")
    assert after == 1.0
