"""The model server's process: gone with its parent, quiet about Ctrl-C."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

pytestmark = pytest.mark.timeout(240)

PARENT = """
import asyncio
from services.generator.modelserver.process import spawned

async def main():
    async with spawned("nowhere", slots=8, threads=1, log=None):
        pass

asyncio.run(main())
"""


@pytest.fixture
def parent():
    process = subprocess.Popen([sys.executable, "-c", PARENT])
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


def test_it_dies_with_its_parent_even_by_sigkill(parent):
    while not (children := parent.children()):
        time.sleep(0.01)
    child = children[0]
    # stopped, it cannot end for any other reason
    child.suspend()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    child.resume()
    _, alive = psutil.wait_procs([child], timeout=20)
    assert not alive
