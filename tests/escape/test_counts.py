"""Threads are counted for each candidate alone: none is refused one because of what others of the same user run."""

import os
import subprocess
import sys

import pytest

from archloop.contracts.values import Outcome
from tests.escape.levels import USER
from tests.unit.evaluator.support import LIMITS, good

pytestmark = pytest.mark.asyncio(loop_scope="session")

ALLOWED = LIMITS.processes - 1  # beside the first

THREADED = good(
    learn="""
time, threading = __import__("time"), __import__("threading")
ran("threads")
for _ in range(60):
    both = [threading.Thread(target=time.sleep, args=(0.02,)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
"""
)

# Threads of 16 KiB of stack each, so that memory does not bound them.
_SMALL = """
import time
ctypes = __import__("ctypes")
libc = ctypes.PyDLL(None)
attributes, thread = ctypes.create_string_buffer(128), ctypes.c_ulong()
libc.pthread_attr_init(attributes)
libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(16384))
def start():
    return libc.pthread_create(ctypes.byref(thread), attributes, ctypes.cast(libc.pause, ctypes.c_void_p), None) == 0
"""


def hoarder(count: int, seconds: float = 0.3) -> str:
    """Starts so many threads, or as many as it can, and holds them; says how many it had before it went on."""
    body = f"count = 0\nwhile count < {count} and start():\n    count += 1\n    ran(f'past{{count // 50}}')\n"
    return good(before=f"{_SMALL}{body}ran('held', count)\ntime.sleep({seconds})")


NEIGHBOURS = {
    "as many as are allowed": [ALLOWED],
    "three such": [ALLOWED] * 3,
    "more than are allowed": [4 * ALLOWED],
    "a bomb": [1_000_000],
    "two bombs": [1_000_000, 2_000_000],
    "a bomb and a hoarder": [1_000_000, ALLOWED],
}


@pytest.mark.parametrize("counts", NEIGHBOURS.values(), ids=NEIGHBOURS)
async def test_a_threaded_network_is_ok_beside(somewhere, counts):
    neighbours = [f"{hoarder(count, 2.5)}# {number}\n" for number, count in enumerate(counts)]
    (honest, marks), *others = await somewhere.tried(THREADED, *neighbours)
    assert (honest.outcome, honest.accuracy) == (Outcome.OK, 1.0), honest
    assert "threads" in marks
    assert all("past0" in marks for _, marks in others), others


async def test_a_candidate_has_as_many_as_its_protocol_says(somewhere):
    ((told, marks),) = await somewhere.tried(hoarder(ALLOWED))
    assert (told.outcome, marks["held"]) == (Outcome.OK, str(ALLOWED))


@pytest.mark.parametrize("excess", [1, 2, 10, 100, 100_000])
async def test_at_level_process_one_more_ends_it(process, excess):
    ((told, marks),) = await process.tried(hoarder(ALLOWED + excess))
    assert told.outcome is Outcome.FORBIDDEN
    assert told.detail == f"more than {LIMITS.processes} threads at a time (limits.processes)"
    assert "past0" in marks


@pytest.mark.parametrize("excess", [1, 2, 10, 100, 100_000])
async def test_in_namespaces_there_is_not_one_more(namespaces, excess):
    ((told, marks),) = await namespaces.tried(hoarder(ALLOWED + excess))
    assert (told.outcome, marks["held"]) == (Outcome.OK, str(ALLOWED))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start something as another user")
async def test_other_programs_of_the_same_user_do_not_count(process):
    hold = (
        f"import os, threading, time; os.setuid({USER})\n"
        "for _ in range(300): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout.readline() == b"held\n"
            ((told, _),) = await process.tried(THREADED)
        finally:
            other.kill()
    assert told.outcome is Outcome.OK, told
