"""Clients cannot hang a registry: hundreds that follow its events, never read, and go, on MongoDB's wire protocol."""

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.process import free_ports, wait_for
from tests.stack.stack import ROOT, get
from tests.support import without_settings

pytestmark = [pytest.mark.timeout(120), pytest.mark.slow]

CLIENTS = 150


class Registry:
    """A process of its own."""

    def __init__(self, folder: Path, mongo_url: str) -> None:
        (self.port,) = free_ports(1)
        self.log = folder / "log"
        settings = {"MONGO_URL": mongo_url, "MONGO_DATABASE": f"clients-{uuid.uuid4().hex[:8]}", "PORT": self.port}
        env = without_settings() | {f"ARCHLOOP_REGISTRY_{name}": str(value) for name, value in settings.items()}
        command = [sys.executable, "-m", "tests.servers.registry_alone", str(folder)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=env, cwd=ROOT, stderr=log)

    def status(self, path: str) -> int:
        return get(f"http://127.0.0.1:{self.port}{path}", 60).status


@pytest.fixture
def registry(tmp_path: Path, mongo_url: str) -> Iterator[Registry]:
    registry = Registry(tmp_path, mongo_url)
    wait_for(lambda: registry.status("/readyz") == 200, registry.process, registry.log, 60)
    yield registry
    registry.process.kill()
    registry.process.wait()


async def come(port: int, request: bytes, count: int = CLIENTS) -> list[asyncio.StreamWriter]:
    connections = [await asyncio.open_connection("127.0.0.1", port, limit=1) for _ in range(count)]
    for _, writer in connections:
        writer.write(request)
    for reader, _ in connections[:10]:
        assert (await reader.read(12)).startswith(b"HTTP/1.1 ")
    return [writer for _, writer in connections]


def asked(path: str, host: str = "localhost") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


async def test_hundreds_that_come_and_go_leave_a_registry_that_answers_and_ends(registry: Registry) -> None:
    """Whatever they ask for: in each case the driver is left in the middle of something."""
    for path in ("/events", "/runs/none/events", "/runs"):
        for writer in await come(registry.port, asked(path)):
            writer.transport.abort()
    statuses = {path: await asyncio.to_thread(registry.status, path) for path in ("/runs", "/livez", "/readyz")}
    assert statuses == {"/runs": 200, "/livez": 200, "/readyz": 200}
    staying = await come(registry.port, asked("/events"))
    registry.process.terminate()
    assert await asyncio.to_thread(registry.process.wait, 30) == 0
    assert b"Traceback" not in registry.log.read_bytes()
    for writer in staying:
        writer.transport.abort()
