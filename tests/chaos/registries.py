"""Registries as processes on one broker and one database, amid fakes of the other services that count what is asked."""

import asyncio
import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from archloop.bus.amqp import AmqpBus
from archloop.bus.consumer import Consumer
from archloop.contracts.base import CandidateMessage, Message
from archloop.contracts.messages import CandidateGenerated, GenerationRequested
from archloop.contracts.spec import RunSpec
from archloop.contracts.topology import EVALUATOR, GENERATOR, NOVELTY, TRAINER
from tests.servers.process import free_ports
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.s3 import S3
from tests.stack.stack import TOKEN, Process, Reply, get
from tests.support import without_settings
from tests.unit.registry.world import Evaluator, Generator, Novelty, Trainer

DEADLINE_S = 240.0


class Slow:
    """A worker that takes its time and counts what it was asked, by run and candidate."""

    def __init__(self, worker: Generator | Evaluator, seconds: float) -> None:
        self._worker, self.seconds = worker, seconds
        self.asked: Counter[tuple[str, str]] = Counter()
        self.in_hand: Counter[str] = Counter()

    def of(self, run_id: str) -> Counter[str]:
        """How often each candidate of the run was asked for."""
        return Counter({candidate: n for (run, candidate), n in self.asked.items() if run == run_id})

    async def handle(self, message: GenerationRequested | CandidateGenerated) -> Sequence[Message]:
        assert isinstance(message, CandidateMessage)
        self.asked[message.run_id, message.candidate_id] += 1
        self.in_hand[message.run_id] += 1
        try:
            await asyncio.sleep(self.seconds)
            return await self._worker.handle(message)  # type: ignore[arg-type]
        finally:
            self.in_hand[message.run_id] -= 1


class ByRun:
    """A worker for each run."""

    def __init__(self, make: Callable[[], Novelty]) -> None:
        self._workers: defaultdict[str, Novelty] = defaultdict(make)

    async def handle(self, message: Any) -> Sequence[Message]:
        return await self._workers[message.run_id].handle(message)


class Registries:
    """On a virtual host, a database and a bucket of their own."""

    def __init__(self, folder: Path, broker: RabbitMQ, mongo_url: str, s3: S3, **settings: object) -> None:
        self.name = f"registries-{uuid.uuid4().hex[:8]}"
        self.broker_url = broker.room()
        own = {
            "BROKER_URL": self.broker_url,
            "S3_ENDPOINT": s3.endpoint,
            "S3_BUCKET": self.name,
            "S3_ACCESS_KEY": s3.access_key,
            "S3_SECRET_KEY": s3.secret_key,
            "MONGO_URL": mongo_url,
            "MONGO_DATABASE": self.name,
            "MAKE_BUCKET": "true",
            "TOKEN": TOKEN,
            "TICK_S": 0.5,
            "LEASE_S": 6,
            **settings,
        }
        self._env = without_settings() | {f"ARCHLOOP_REGISTRY_{k}": str(v) for k, v in own.items()}
        self._folder = folder
        self.generator, self.evaluator = Slow(Generator(), 0.02), Slow(Evaluator(), 0.0)
        self.processes: dict[str, Process] = {}

    def url(self, name: str) -> str:
        """Where one of them answers."""
        return f"http://127.0.0.1:{self.processes[name].env['ARCHLOOP_REGISTRY_PORT']}"

    async def start(self, name: str) -> Process:
        """One more, once it is ready."""
        (port,) = free_ports(1)
        env = self._env | {"ARCHLOOP_REGISTRY_PORT": str(port)}
        process = Process(name, [sys.executable, "-m", "services.registry"], env, self._folder)
        self.processes[name] = process
        process.start()
        await until(lambda: get(f"{self.url(name)}/readyz").status == 200)
        return process

    async def request(self, name: str, run_id: str, spec: RunSpec) -> None:
        """Ask one of them for a run, again where it does not answer in time: the same request is one run."""
        body, began = {"run_id": run_id, "spec": spec.model_dump(mode="json")}, time.monotonic()
        while not (status := await asyncio.to_thread(self._post, name, "runs", body)):
            assert time.monotonic() - began < DEADLINE_S
        assert status == 202

    async def act(self, run_id: str, path: str, body: object = None) -> int:
        """Steer a run by whichever registry answers, however long none does; return the status of the answer."""
        began, way = time.monotonic(), f"runs/{run_id}/{path}"
        while True:
            for name, process in list(self.processes.items()):
                if process.running is not None and (status := await asyncio.to_thread(self._post, name, way, body)):
                    return status
            assert time.monotonic() - began < DEADLINE_S
            await asyncio.sleep(0.2)

    def _post(self, name: str, path: str, body: object) -> int:
        """Return the status of the answer; 0 where there is none that counts."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url(name)}/{path}", data, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code if error.code < 500 else 0
        except OSError:
            return 0

    def idle(self, run_id: str) -> bool:
        """Whether no worker has anything of the run in hand."""
        return self.generator.in_hand[run_id] == self.evaluator.in_hand[run_id] == 0

    async def read(self, name: str, path: str) -> Reply:
        """What one of them answers."""
        return await asyncio.to_thread(get, f"{self.url(name)}{path}")

    async def ended(self, name: str, run_id: str) -> str:
        """The reason, once there is one."""
        reason = None
        began = time.monotonic()
        while reason is None:
            assert time.monotonic() - began < DEADLINE_S
            await asyncio.sleep(0.3)
            answer = await self.read(name, f"/runs/{run_id}")
            reason = answer.body["reason"] if answer.status == 200 else None
        return str(reason)

    def leads(self, name: str) -> int:
        """How often it began to lead."""
        return self.processes[name].log.read_text().count("this registry leads now")

    @asynccontextmanager
    async def others(self) -> AsyncIterator[None]:
        """The other services. What novelty knows of is each run's own."""
        bus = AmqpBus(self.broker_url, "others")
        await bus.connect()
        novelty, trainer = ByRun(Novelty), Trainer()
        for queue, worker in (
            (GENERATOR, self.generator),
            (EVALUATOR, self.evaluator),
            (NOVELTY, novelty),
            (TRAINER, trainer),
        ):
            await Consumer(bus, queue, worker, queue.name).start()
        try:
            yield
        finally:
            for process in self.processes.values():
                process.kill()
            await bus.close()


async def until(condition: Callable[[], object]) -> None:
    """Return once it is so. Raises AssertionError."""
    began = time.monotonic()
    while not await asyncio.to_thread(condition):
        assert time.monotonic() - began < DEADLINE_S, "it never came to that"
        await asyncio.sleep(0.2)
