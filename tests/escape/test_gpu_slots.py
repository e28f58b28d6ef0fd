"""The walls of a GPU slot, tried without a GPU: the fork server takes two files that every machine has for GPUs.

What CUDA itself makes of it only a GPU can tell: tests/gpu.
"""

import asyncio

import pytest
import pytest_asyncio

from archloop.contracts.values import Outcome
from services.evaluator.devices import Device
from services.evaluator.sandbox import fork_server
from services.evaluator.sandbox.client import ForkServerSandbox
from tests.escape.arena import running
from tests.unit.evaluator.support import TINY, good

pytestmark = pytest.mark.asyncio(loop_scope="module")

# The second is the slot's own.
_PRETENDED = """
from services.evaluator import devices
from services.evaluator.sandbox import gpu, host
files = ["/dev/full", "/dev/zero"]
host.device_files, host.cards = lambda: files, lambda: [devices.Card(file) for file in files]
"""
_START = "from services.evaluator.sandbox.server_main import main\n"

PROBES = {
    "a thread's name can be written": """
import os
for path in ("/proc/self/task/1/comm", "/proc/self/task/9/comm", "/proc/1/task/2/comm"):
    file = os.open(path, os.O_RDWR)
    assert os.write(file, b"cuda-EvtHandlr") == 14
""",
    "the machine's processors and memory are told": """
assert "Cpus_allowed" in open("/proc/self/status").read()
assert open("/sys/devices/system/cpu/possible").read()[0] == "0"
""",
    "its own GPU can be opened": "__import__('os').open('/dev/zero', __import__('os').O_RDWR)",
    "no other can": """
try:
    __import__("os").open("/dev/full", 2)
except PermissionError:
    pass
else:
    raise SystemExit("opened")
""",
    "CUDA is told the only one it can open": """
import os
assert os.environ["CUDA_VISIBLE_DEVICES"] == "0", os.environ["CUDA_VISIBLE_DEVICES"]
""",
    "there are descriptors for the driver": """
import os
assert len([os.open("/dev/null", 0) for _ in range(400)]) == 400
""",
    "CUDA may reserve more addresses than there is memory": """
mmap = __import__("mmap")
mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, prot=0)
""",
    "memory to write to is bounded all the same": """
mmap = __import__("mmap")
held = []
try:
    while len(held) < 64:
        held.append(mmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000))
except OSError:
    pass
assert 4 <= len(held) <= 9, len(held)
del held
""",
    "nothing tells of the machine's processes": """
import os
assert sorted(os.listdir("/proc/self")) == ["named", "status", "task"]
assert not any(name.isdigit() and name != "1" for name in os.listdir("/proc"))
""",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def slot():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fork_server, "_BOOT", fork_server._BOOT.replace(_START, _PRETENDED + _START))
        async with running(ForkServerSandbox([Device("1")])) as given:
            yield given


@pytest.mark.parametrize("statements", PROBES.values(), ids=PROBES)
async def test_a_child_on_a_gpu_finds_what_cuda_needs(slot, statements):
    evaluator, witness = slot
    code = good(before=f"{statements}\nran('done')")
    told = await asyncio.wait_for(evaluator.evaluate(code, TINY), 120)
    assert "done" in witness.taken(code), f"{told.outcome} in {told.stage}: {told.detail}"
    assert told.outcome is Outcome.TRAIN_ERROR  # this torch, or this machine, has no CUDA
    assert "CUDA" in told.detail or "NVIDIA" in told.detail
