"""A context goes with its child: what a candidate held on the GPU is free when its evaluation is over."""

import asyncio

import pytest

from benchmarks.gpu import machine
from services.evaluator.devices import Device
from services.evaluator.evaluator import Evaluator
from services.evaluator.sandbox.client import ForkServerSandbox
from tests.unit.evaluator.support import GOOD, HELDOUT, LIMITS, TINY, good, quadrants

LONG = TINY.model_copy(update={"limits": LIMITS.model_copy(update={"cpu_seconds": 20.0, "wall_seconds": 20.0})})
_MORE_MIB = 64.0
HOLDERS = {
    "ends well": good(learn="self.held = torch.ones(1 << 30, dtype=torch.uint8, device='cuda')"),
    "leaves at once": good(
        learn="held = torch.ones(1 << 30, dtype=torch.uint8, device='cuda')\n__import__('os')._exit(0)"
    ),
    "crashes": good(
        learn="held = torch.ones(1 << 30, dtype=torch.uint8, device='cuda')\n__import__('ctypes').string_at(0)"
    ),
    "raises": good(learn="held = torch.ones(1 << 30, dtype=torch.uint8, device='cuda')\nraise ValueError"),
    "computes for ever": good(learn="x = torch.ones(4096, 4096, device='cuda')\nwhile True: x = x @ x / 4096"),
    "good": GOOD,
}


@pytest.mark.parametrize("code", HOLDERS.values(), ids=HOLDERS)
async def test_the_context_is_freed(number, code):
    if machine.used_mib(number) is None:
        pytest.skip("nvidia-smi does not tell the memory in use here")
    sandbox = ForkServerSandbox([Device.of_gpu(number)])
    evaluator = Evaluator(sandbox, quadrants, HELDOUT)
    try:
        await sandbox.start()
        before = machine.used_mib(number)
        await evaluator.evaluate(code, LONG)
        for _ in range(50):  # the driver tears a killed process's context down after the process is gone
            if machine.used_mib(number) <= before + _MORE_MIB:
                break
            await asyncio.sleep(0.1)
        assert machine.used_mib(number) <= before + _MORE_MIB
    finally:
        await sandbox.close()
        await evaluator.close()
