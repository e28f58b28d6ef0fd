"""The walls of a slot on a real GPU: what CUDA needs is there, and nothing of other GPUs or of the machine."""

import asyncio

import pytest
import pytest_asyncio

from archloop.contracts.values import Outcome
from services.evaluator.devices import Device, cards
from services.evaluator.evaluator import Evaluator
from services.evaluator.sandbox import gpu
from services.evaluator.sandbox.client import ForkServerSandbox
from tests.escape.arena import Witness
from tests.unit.evaluator.support import GOOD, HELDOUT, LIMITS, TINY, good, quadrants, unvarying

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = TINY.model_copy(update={"limits": LIMITS.model_copy(update={"cpu_seconds": 20.0})})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def slot(number):
    sandbox = ForkServerSandbox([Device.of_gpu(number)] * 2)
    witness = Witness(sandbox)
    evaluator = Evaluator(witness, quadrants, HELDOUT)
    await sandbox.start()
    yield evaluator, witness
    await sandbox.close()
    await evaluator.close()


async def tried(slot, code: str):
    evaluator, witness = slot
    told = await asyncio.wait_for(evaluator.evaluate(code, LONG), 120)
    return told, witness.taken(code)


async def test_a_good_network_is_scored_on_the_gpu(slot, number):
    told, _ = await tried(slot, GOOD)
    assert told.outcome is Outcome.OK, told.detail
    assert told.device == Device.of_gpu(number).name
    assert told.accuracy > 0.5


async def test_the_same_network_is_scored_the_same(slot):
    first, second = [(await tried(slot, GOOD))[0] for _ in range(2)]
    assert unvarying(first) == unvarying(second)


ON_THE_DEVICE = {
    "one GPU is seen": "assert torch.cuda.device_count() == 1\nran('done')",
    "the images are there": "assert x.is_cuda\nran('done')",
    "cuDNN is found": "assert torch.backends.cudnn.is_available()\nran('done')",
    "a matrix product in bfloat16": "y = torch.ones(64, 64, device='cuda', dtype=torch.bfloat16)\ny @ y\nran('done')",
    "linear algebra": "torch.linalg.inv(torch.eye(8, device='cuda'))\nran('done')",
    "a Fourier transform": "torch.fft.fft(torch.ones(64, device='cuda'))\nran('done')",
    "random numbers": "torch.randn(8, device='cuda').sum().item()\nran('done')",
    "pinned memory": "torch.ones(1 << 20).pin_memory().to('cuda', non_blocking=True).sum().item()\nran('done')",
    "streams and events": """
stream = torch.cuda.Stream()
with torch.cuda.stream(stream):
    y = torch.ones(1000, device='cuda') * 2
event = stream.record_event()
event.synchronize()
ran('done')
""",
}


@pytest.mark.parametrize("statements", ON_THE_DEVICE.values(), ids=ON_THE_DEVICE)
async def test_what_networks_do_on_a_gpu_goes_well(slot, statements):
    """In `forward`, on the device: it also runs on the CPU, where shapes are tried."""
    code = good(forward=f"if x.is_cuda:\n{_indented(statements)}")
    told, marks = await tried(slot, code)
    assert "done" in marks, f"{told.outcome} in {told.stage}: {told.detail}"
    assert told.outcome is Outcome.OK, told.detail


REFUSED = {
    "every other card's device file": """
os, others = __import__("os"), OTHERS
for path in others:
    try:
        os.open(path, os.O_RDWR)
    except OSError:
        continue
    raise SystemExit(path)
ran("done")
""",
    "a terminal's requests": """
fcntl = __import__("fcntl")
for request in (0x5412, 0x5414, 0x8933, 0x8910, 0x4B3A):
    try:
        fcntl.ioctl(1, request, bytes(64))
    except OSError as error:
        assert error.errno == 1, error
    else:
        raise SystemExit(request)
ran("done")
""",
    "sockets": """
try:
    __import__("socket").socket()
except (OSError, ImportError):
    ran("done")
""",
    "new processes": """
try:
    __import__("os").fork()
except OSError:
    ran("done")
""",
    "files of the machine": """
try:
    open("/usr/lib/x", "w")
except OSError:
    ran("done")
""",
}


@pytest.mark.parametrize("statements", REFUSED.values(), ids=REFUSED)
async def test_what_no_network_needs_is_refused(slot, number, statements):
    known = cards()
    others = sorted({card.file for card in known} - set(gpu.visible(number, [card.file for card in known], known)))
    code = good(before=statements.replace("OTHERS", repr(others)))
    told, marks = await tried(slot, code)
    assert "done" in marks, f"{told.outcome} in {told.stage}: {told.detail}"


async def test_running_out_of_the_gpus_memory_is_told_as_that(slot):
    told, marks = await tried(
        slot, good(learn="ran('learn')\nheld = torch.empty(1 << 42, dtype=torch.uint8, device='cuda')")
    )
    assert "learn" in marks
    assert told.outcome is Outcome.OUT_OF_MEMORY, told.detail


def _indented(statements: str) -> str:
    return "\n".join(f"    {line}" for line in statements.strip().splitlines())
