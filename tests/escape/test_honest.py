"""What honest networks do besides training goes on working behind the filter and the limits, at every level."""

from pathlib import Path

import pytest

from archloop.contracts.values import Outcome
from tests.unit.evaluator.support import good

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXAMPLE = Path(__file__).parents[2] / "examples/net.py"

ANYWHERE = {
    "threads that hand over": """
threading, queue = __import__("threading"), __import__("queue")
given = queue.Queue()
worker = threading.Thread(target=lambda: given.put(sum(range(1000))))
worker.start()
worker.join()
ran("did", given.get(timeout=5))
""",
    "a pool of threads": """
pool = __import__("concurrent.futures", fromlist=["x"]).ThreadPoolExecutor(4)
ran("did", sum(pool.map(abs, range(-50, 50))))
pool.shutdown()
""",
    "torch's threads": """
import torch
torch.set_num_threads(2)
ran("did", (torch.randn(256, 256) @ torch.randn(256, 256)).shape)
""",
    "convolutions of two threads at once": """
import torch
from torch import nn
threading, done = __import__("threading"), []
def convolve():
    for size in range(3, 12):
        done.append(nn.Conv2d(3, size, 3)(torch.randn(2, 3, 32, 32)).shape)
both = [threading.Thread(target=convolve) for _ in range(2)]
for thread in both: thread.start()
for thread in both: thread.join()
assert len(done) == 18
ran("did")
""",
    "numpy": """
import numpy as np
square = np.random.default_rng(1).normal(size=(200, 200))
np.linalg.svd(square), np.linalg.inv(square), np.fft.fft2(square), np.sort(square.ravel())
ran("did", float(np.zeros(1 << 23).sum()))
""",
    "a checkpoint in memory": """
import torch
io = __import__("io")
kept = io.BytesIO()
torch.save({"weight": torch.ones(1000)}, kept)
kept.seek(0)
ran("did", torch.load(kept)["weight"].sum().item())
""",
    "modules that could do more": """
for name in ("subprocess", "multiprocessing", "logging", "sqlite3", "asyncio", "socket", "tempfile", "signal", "mmap"):
    __import__(name)
__import__("logging").getLogger("net").warning("built")
__import__("sqlite3").connect(":memory:").execute("create table t (a)")
ran("did")
""",
    "the clock and the machine": """
import os, time
platform, random = __import__("platform"), __import__("random")
time.sleep(0.01)
ran("did", (time.process_time() > 0, os.cpu_count() > 0, platform.system(), random.random() < 1, os.times()[4] > 0))
""",
    "a time limit of its own": """
signal = __import__("signal")
signal.signal(signal.SIGALRM, lambda *_: None)
signal.alarm(60)
signal.setitimer(signal.ITIMER_REAL, 60)
signal.alarm(0)
ran("did")
""",
    "a profile": """
import torch
with torch.autograd.profiler.profile() as profile:
    torch.randn(10, 10) @ torch.randn(10, 10)
ran("did", len(profile.function_events) > 0)
""",
    "recurrence, attention and spectra": """
import torch
from torch import nn
torch.fft.rfft2(nn.LSTM(8, 8)(torch.randn(4, 2, 8))[0])
ran("did", nn.TransformerEncoderLayer(8, 2, 16)(torch.randn(4, 2, 8)).shape)
""",
    "low precision": """
import torch
from torch import nn
with torch.autocast("cpu", dtype=torch.bfloat16):
    ran("did", nn.Conv2d(3, 8, 3)(torch.randn(2, 3, 16, 16)).dtype)
""",
}
IN_ITS_SCRATCH = {
    "a checkpoint in a file": """
import os
import torch
tempfile = __import__("tempfile")
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "net.pt")
    torch.save(torch.ones(5000), path)
    ran("did", (torch.load(path).sum().item(), torch.load(path, mmap=True).sum().item()))
""",
    "temporary files": """
import os
tempfile = __import__("tempfile")
for kind in (tempfile.TemporaryFile, tempfile.NamedTemporaryFile):
    with kind() as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())
ran("did")
""",
    "an array in a file": """
import numpy as np
kept = np.memmap("kept", dtype="float32", mode="w+", shape=(1000,))
kept[:] = 1
kept.flush()
ran("did", float(np.memmap("kept", dtype="float32", mode="r").sum()))
""",
    "copies with their times and rights": """
import os
shutil = __import__("shutil")
os.mkdir("folder")
with open("folder/a", "w") as file:
    file.write("a" * 1000)
shutil.copy2("folder/a", "folder/b")
shutil.copytree("folder", "other")
ran("did", (sorted(os.listdir("other")), os.path.getsize("other/b")))
""",
    "renaming, linking, cutting": """
import os
with open("a", "w") as file:
    file.write("a" * 1000)
os.symlink("a", "b"), os.link("a", "c"), os.rename("a", "d"), os.truncate("d", 10), os.chmod("d", 0o600), os.utime("d")
ran("did", os.path.getsize("c"))
""",
}


async def is_ok(place, statements: str) -> None:
    ((told, marks),) = await place.tried(good(before=statements))
    assert "did" in marks, told
    assert (told.outcome, told.accuracy) == (Outcome.OK, 1.0), told


@pytest.mark.parametrize("statements", ANYWHERE.values(), ids=ANYWHERE)
async def test_it_is_ok(somewhere, statements):
    await is_ok(somewhere, statements)


@pytest.mark.parametrize("statements", IN_ITS_SCRATCH.values(), ids=IN_ITS_SCRATCH)
async def test_it_is_ok_where_it_has_a_scratch(namespaces, statements):
    await is_ok(namespaces, statements)


async def test_the_example_is_ok(somewhere):
    ((told, _),) = await somewhere.tried(EXAMPLE.read_text())
    assert told.outcome is Outcome.OK, told
