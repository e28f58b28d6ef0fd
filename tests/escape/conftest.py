"""The arena that the escape tests share."""

import asyncio
import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import pytest_asyncio

from services.evaluator.sandbox.client import ForkServerSandbox
from tests.escape.arena import SECRET, Arena, running
from tests.escape.levels import LEVELS, place
from tests.support import slots


def pytest_collection_modifyitems(items):
    """A machine under load takes its time, and what is not contained is killed by the sandbox's own limits."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def _secret():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCHLOOP_BUS_PASSWORD", SECRET)
        yield


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def arena(_secret, request):
    sandbox = ForkServerSandbox(slots(request.config, 2))
    async with running(sandbox) as (evaluator, witness):
        assert os.environ["ARCHLOOP_BUS_PASSWORD"] == SECRET
        gc.collect()
        gc.freeze()  # each test has the garbage collected, which takes the longer the more there is to look at
        yield Arena(evaluator, sandbox, witness)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def namespaces():
    async with place("namespaces", slots=4) as given:
        yield given


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def process():
    async with place("process", slots=4) as given:
        yield given


@pytest.fixture(scope="session", params=LEVELS)
def somewhere(request):
    """At each level in turn."""
    return request.getfixturevalue(request.param)


class Service:
    """A service in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def line(self) -> dict:
        return json.loads(await asyncio.wait_for(self._process.stdout.readline(), 250))

    async def ready(self) -> int:
        """The launcher's process id."""
        return (await self.line())["ready"]


@pytest_asyncio.fixture(loop_scope="session")
async def run_service(tmp_path_factory):
    """Start tests/escape/service.py over files with these sources, with options of tests/escape/restricted.py."""
    processes = []
    folder = tmp_path_factory.mktemp("sources")
    for private in (folder, *(parent for parent in folder.parents if "pytest-of-" in str(parent))):
        private.chmod(0o755)

    async def start(level: str, *sources: str, options: list[str] = ()) -> Service:
        files = [folder / f"{number}.py" for number in range(len(sources))]
        for file, source in zip(files, sources, strict=True):
            file.write_text(source)
        command = [
            "-m",
            "tests.escape.restricted",
            *options,
            "--",
            "-m",
            "tests.escape.service",
            level,
            *map(str, files),
        ]
        process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=subprocess.PIPE)
        processes.append(process)
        return Service(process)

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()
