"""Memory, time and output end at the protocol's limits, and by their own names."""

import pytest

from archloop.contracts.values import Outcome
from tests.escape.arena import RUNAWAY, SLEEPER
from tests.unit.evaluator.support import LIMITS, good

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    "ask",
    ["torch.zeros(1 << 34)",
     "__import__('numpy').ones((1 << 17, 1 << 17))",
     "'x' * (1 << 33)",
     "[__import__('mmap').mmap(-1, 1 << 26) for _ in range(100)]",
     "list(range(10**9))"],
)  # fmt: skip
async def test_asking_for_more_memory_than_there_is_is_out_of_memory(arena, ask):
    await arena.contained(good(before=f"import torch\nx = {ask}"), Outcome.OUT_OF_MEMORY)


@pytest.mark.parametrize(
    "piece",
    ["bytearray(b'x' * (1 << 24))",
     "torch.ones(1 << 22)",
     "list(range(10**6))",
     "__import__('numpy').ones(1 << 21)",
     "'x' * (1 << 24)",
     "{n: str(n) for n in range(10**5)}"],
)  # fmt: skip
async def test_eating_memory_piece_by_piece_is_out_of_memory(arena, piece):
    eat = f'import torch\neaten = []\nwhile True:\n    eaten.append({piece})\n    ran("ate")'
    told = await arena.contained(good(before=eat), Outcome.OUT_OF_MEMORY)
    assert LIMITS.memory_bytes / 2 < told.peak_memory_bytes < LIMITS.memory_bytes + 64 * 1024**2


async def test_a_network_too_large_is_out_of_memory_when_it_is_built_for_real(arena):
    await arena.contained(good(init="self.huge = nn.Linear(100_000, 100_000)"), Outcome.OUT_OF_MEMORY)


@pytest.mark.parametrize(
    "loop",
    ["while True: pass",
     "sum(range(10**18))",
     "import re\nre.match('(a+)+$', 'a' * 64 + 'b')",
     "10 ** 10 ** 9",
     "import torch\nwhile True: torch.randn(200, 200) @ torch.randn(200, 200)",
     "import itertools\nall(itertools.repeat(True))"],
)  # fmt: skip
async def test_an_endless_loop_in_python_or_in_c_is_a_timeout(arena, loop):
    told = await arena.contained(good(before=loop), Outcome.TIMEOUT, protocol=RUNAWAY)
    assert "CPU time" in told.detail


@pytest.mark.parametrize(
    "sleep",
    ["import time\ntime.sleep(1000)",
     "__import__('ctypes').CDLL(None).pause()",
     "lock = __import__('threading').Lock()\nlock.acquire(); lock.acquire()",
     "import os\nr, w = os.pipe()\nos.read(r, 1)",
     "import time\ntime.time = time.monotonic = lambda: 0.0\nwhile True: time.sleep(0.1)"],
)  # fmt: skip
async def test_sleeping_is_a_timeout_by_the_parents_clock(arena, sleep):
    told = await arena.contained(good(before=sleep), Outcome.TIMEOUT, protocol=SLEEPER)
    assert "CPU" not in told.detail
    assert told.seconds >= SLEEPER.limits.wall_seconds


async def test_an_endless_training_is_a_timeout_in_its_stage(arena):
    told = await arena.contained(
        good(learn="while True: self(torch.randn(8, 1, 8, 8))"), Outcome.TIMEOUT, protocol=RUNAWAY
    )
    assert told.stage == "train"


async def test_chatter_is_cut_short_and_no_crime(arena):
    chatter = "import sys\nfor i in range(20_000): print(i, 'x' * 50); sys.stderr.write('y')\nran(\"said\", i)"
    await arena.contained(good(before=chatter), Outcome.OK)
    assert arena.marks == {"said": "19999"}


@pytest.mark.parametrize("fd", [1, 2])
async def test_a_flood_of_raw_output_is_stopped(arena, fd):
    flood = f"import os\nwhile True: os.write({fd}, b'<<ran flood >>' * 100_000)"
    told = await arena.contained(good(before=flood), Outcome.FORBIDDEN)
    assert told.detail == f"more than {LIMITS.output_bytes} bytes of output"


async def test_a_flood_into_the_result_pipe_is_stopped(arena):
    flood = "import os\nwhile True: os.write(3, bytes(1 << 20))"
    told = await arena.contained(good(before=flood), Outcome.FORBIDDEN)
    assert told.detail == f"more than {LIMITS.output_bytes} bytes of output"


async def test_binary_garbage_and_a_line_without_end_do_not_matter(arena):
    garbage = """
import os
ran("sent", os.write(1, bytes(range(256)) * 8) + os.write(2, b'x' * 4000))
"""
    await arena.contained(good(before=garbage), Outcome.OK)
    assert arena.marks == {"sent": "6048"}
