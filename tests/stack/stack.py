"""Starts, kills and watches the services' processes, as an orchestrator would."""

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.servers.process import free_ports
from tests.servers.s3 import S3
from tests.support import command, without_settings

ROOT = Path(__file__).parents[2]
SERVICES = ("registry", "generator", "evaluator", "novelty", "trainer")
TOKEN, READ_TOKEN = "write-token", "read-token"


class Servers(NamedTuple):
    """Where the broker and the stores are, and what of them this stack uses for itself."""

    broker_url: str
    mongo_url: str
    s3: S3
    database: str
    bucket: str
    traces: str = ""


class Reply(NamedTuple):
    """Status and JSON of an HTTP reply; no status: nobody replied."""

    status: int
    body: Any


def get(url: str, timeout_s: float = 10.0) -> Reply:
    """GET, whatever comes of it."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as response:
            return Reply(response.status, json.loads(response.read()))
    except urllib.error.HTTPError as error:
        return Reply(error.code, json.loads(error.read() or "null"))
    except (OSError, ValueError):
        return Reply(0, None)


@dataclass
class Process:
    """One service: started again by whoever owns it."""

    name: str
    command: list[str]
    env: Mapping[str, str]
    folder: Path
    running: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(self.command, env=self.env, cwd=ROOT, stdout=log, stderr=log)

    def kill(self) -> None:
        """SIGKILL."""
        if self.running is not None:
            self.running.kill()
            self.running.wait()

    def end(self, patience_s: float = 30.0) -> int:
        """SIGTERM; the exit code."""
        assert self.running is not None
        self.running.terminate()
        return self.running.wait(patience_s)

    def revive(self) -> None:
        """Start it if it has ended."""
        if self.running is None or self.running.poll() is not None:
            self.start()


class Stack:
    """A model server and the five services. Single processes can be killed; `supervised` starts them again."""

    def __init__(self, folder: Path, servers: Servers, commands: Mapping[str, Sequence[str]] | None = None) -> None:
        """`commands`: what to run instead of a service's own module."""
        self.folder, self.servers = folder, servers
        self.ports = dict(zip((*SERVICES, "modelserver"), free_ports(len(SERVICES) + 1), strict=True))
        self.processes = {name: self._process(name, commands or {}) for name in (*SERVICES, "modelserver")}

    @property
    def url(self) -> str:
        """The registry's API."""
        return f"http://127.0.0.1:{self.ports['registry']}"

    def health(self, service: str, probe: str = "readyz") -> Reply:
        return get(f"http://127.0.0.1:{self.ports[service]}/{probe}")

    def run(self, preset: Path, name: str, out: Path, *more: str, **options: Any) -> subprocess.Popen[Any]:
        """`archloop run` against the registry; `options` are those of the process."""
        where = ("--server", self.url, "--name", name, "--out", out, *more)
        env = without_settings() | {"ARCHLOOP_CLI_TOKEN": TOKEN}
        return subprocess.Popen(command("run", "--preset", preset, *where), env=env, **options)

    def start(self) -> None:
        """The registry first, which makes the bucket; returns when all are ready."""
        for name in ("modelserver", "registry"):
            self.processes[name].start()
        self.wait_ready(services=["registry"])
        for process in self.processes.values():
            process.revive()
        self.wait_ready()

    def wait_ready(self, patience_s: float = 90.0, services: Sequence[str] = SERVICES) -> None:
        """Raises AssertionError with what is not ready, and why."""
        deadline = time.monotonic() + patience_s
        while waiting := {s: a for s in services if (a := self.health(s)).status != 200}:
            assert time.monotonic() < deadline, f"not ready after {patience_s} s: {waiting}"
            time.sleep(0.3)

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()

    @contextmanager
    def supervised(self, check_s: float = 0.2) -> Iterator[None]:
        """What ends is started again, as an orchestrator would."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(check_s):
                for process in self.processes.values():
                    process.revive()

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _process(self, name: str, commands: Mapping[str, Sequence[str]]) -> Process:
        module = "services.generator.modelserver" if name == "modelserver" else f"services.{name}"
        command = [sys.executable, *commands.get(name, ("-m", module))]
        if name == "modelserver":
            command += ["--port", str(self.ports[name])]
        return Process(name, command, self._env(name), self.folder)

    def _env(self, service: str) -> dict[str, str]:
        servers, s3 = self.servers, self.servers.s3
        own = {
            "PORT": self.ports[service],
            "BROKER_URL": servers.broker_url,
            "S3_ENDPOINT": s3.endpoint,
            "S3_BUCKET": servers.bucket,
            "S3_ACCESS_KEY": s3.access_key,
            "S3_SECRET_KEY": s3.secret_key,
            "TRACES_ENDPOINT": servers.traces,
            **self._settings(service),
        }
        return without_settings() | {f"ARCHLOOP_{service.upper()}_{k}": str(v) for k, v in own.items()}

    def _settings(self, service: str) -> dict[str, object]:
        settings: dict[str, dict[str, object]] = {
            "registry": {
                "MONGO_URL": self.servers.mongo_url,
                "MONGO_DATABASE": self.servers.database,
                "MAKE_BUCKET": "true",
                "TOKEN": TOKEN,
                "READ_TOKEN": READ_TOKEN,
            },
            "generator": {
                "SERVER_URL": f"http://127.0.0.1:{self.ports['modelserver']}",
                "CACHE_DIR": self.folder / "adapters",
                "REPLICA": "one",
            },
            "evaluator": {"REGISTRY_URL": self.url, "REGISTRY_TOKEN": READ_TOKEN, "SLOTS": 2},
            "novelty": {"STORE": self.folder / "novelty.sqlite"},
            "trainer": {"WORK_DIR": self.folder / "training"},
        }
        return settings.get(service, {})
