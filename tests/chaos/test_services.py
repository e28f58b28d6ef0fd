"""Services, broker and stores die at random moments of a run, which ends as if nothing had been.

The short form is for every day; the long one is
`pytest tests/chaos/test_services.py --kills 200 --broker-kills 5 --store-kills 3 --candidates 256 --cycles 4`.
"""

import asyncio
import json
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from archloop.bus.amqp import AmqpBus
from services.registry.stores.mongo import MongoStore
from tests.servers.proxy import Proxy, proxied
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.s3 import SeaweedFS, seaweedfs
from tests.stack import SERVICES, Servers, Stack
from tests.stack.stack import get

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * 3600)]

PRESET = """
preset: chaos
cycles: {cycles}
candidates: {candidates}
seed: 3
protocol: digits
base_model: tiny
selection: {{threshold: 0.3, fallback_threshold: 0.2, minimum: 5, quota: 4, replay: 16}}
training: {{epochs: 1, minimum_steps: 20, batch_size: 4}}
"""


_ASK_S = 5.0


class Mortals(NamedTuple):
    """What can be killed beside the services. The database is in memory: only its connections can be cut."""

    broker: RabbitMQ
    objects: SeaweedFS
    database: Proxy
    mongo_url: str

    def servers(self, name: str) -> Servers:
        return Servers(self.broker.url, self.mongo_url, self.objects.s3, database=name, bucket=name)

    def restart_broker(self) -> None:
        self.broker.kill()
        time.sleep(2)
        self.broker.start()
        self.broker.wait()

    def restart_stores(self) -> None:
        self.database.cut()
        self.objects.kill()
        time.sleep(2)
        self.objects.start()
        self.database.mend()


class End(NamedTuple):
    """What a run came to."""

    summary: dict[str, Any]
    candidates: list[dict[str, Any]]

    @property
    def results(self) -> list[tuple[object, ...]]:
        """Of each candidate: where it stands, its code, its outcome and accuracy, its verdict."""
        return [
            (
                c["cycle"],
                c["index"],
                c["code_sha256"],
                c["evaluation"]["outcome"],
                c["evaluation"]["accuracy"],
                (c["judgement"] or {}).get("verdict"),
                c["admitted"],
            )
            for c in self.candidates
        ]


@contextmanager
def started(broker: RabbitMQ, mongo_url: str, folder: Path) -> Iterator[Mortals]:
    """Queues and an object store for one run alone: what waits when a run has ended is none of the next one's."""
    broker.enter()
    address = mongo_url.partition("@")[2].partition("/")[0]
    (folder / "s3").mkdir(parents=True)
    with (
        seaweedfs(folder / "s3") as objects,
        proxied(int(address.partition(":")[2])) as database,
    ):
        yield Mortals(broker, objects, database, mongo_url.replace(address, f"127.0.0.1:{database.port}"))


def end_of(stack: Stack, preset: Path, out: Path, trouble: Callable[[subprocess.Popen[bytes]], None]) -> End:
    """Start the stack, run on it, make trouble meanwhile."""
    out.mkdir()
    try:
        stack.start()
        with stack.supervised(), stack.run(preset, "chaos", out) as client:
            trouble(client)
            assert client.wait() == 0
        return End(*(json.loads((out / name).read_text()) for name in ("summary.json", "candidates.json")))
    finally:
        stack.stop()


class Storm:
    """Kills at the pace of the run's progress, so that they are spread over all of it."""

    def __init__(self, stack: Stack, mortals: Mortals, options: pytest.Config) -> None:
        self._stack, self._rng = stack, random.Random(11)
        self._total: int = options.getoption("--cycles") * options.getoption("--candidates")
        self._due: dict[Callable[[], None], int] = {
            self._kill_a_service: options.getoption("--kills"),
            mortals.restart_broker: options.getoption("--broker-kills"),
            mortals.restart_stores: options.getoption("--store-kills"),
        }
        self._made: Counter[Callable[[], None]] = Counter()
        self.killed: Counter[str] = Counter()

    def __call__(self, client: subprocess.Popen[bytes]) -> None:
        settled, asked = 0, 0.0
        while client.poll() is None:
            time.sleep(self._rng.uniform(0.2, 2.0))
            if time.monotonic() - asked > _ASK_S:
                settled, asked = max(settled, self._settled()), time.monotonic()
            for trouble, count in self._due.items():
                # The last comes some way before the end, the first soon after the beginning.
                if self._made[trouble] < count * min(1.0, 0.05 + settled / (0.9 * self._total)):
                    self._made[trouble] += 1
                    trouble()

    def _kill_a_service(self) -> None:
        name = self._rng.choice([*SERVICES, "modelserver"])
        self._stack.processes[name].kill()
        self.killed[name] += 1

    def _settled(self) -> int:
        answer = get(f"{self._stack.url}/runs/chaos/summary")
        return sum(cycle["evaluated"] for cycle in answer.body["cycles"]) if answer.status == 200 else 0

    def check(self) -> None:
        assert all(self._made[trouble] == count for trouble, count in self._due.items()), self._made


async def events_per_candidate(servers: Servers) -> tuple[Counter[str], Counter[str]]:
    """How many evaluations and verdicts the event log has of each candidate."""
    store = await MongoStore.open(servers.mongo_url, servers.database)
    evaluated: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    after = 0
    try:
        while events := await store.events(after):
            after = events[-1].seq
            for event in events:
                target = {"candidate.evaluated": evaluated, "candidate.judged": judged}
                for prefix, counter in target.items():
                    if event.type.startswith(f"archloop.{prefix}"):
                        counter[f"{event.data['cycle']}/{event.data['index']}"] += 1
    finally:
        await store.close()
    return evaluated, judged


async def parked(servers: Servers) -> list[str]:
    bus = AmqpBus(servers.broker_url, "test")
    try:
        await bus.connect()
        return [f"{each.queue}: {each.reason}" for each in await bus.parked()]
    finally:
        await bus.close()


def test_a_run_amid_dying_services_broker_and_stores_is_the_run_it_would_have_been(
    mortal_broker: RabbitMQ, mongo_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cycles, candidates = (request.config.getoption(f"--{name}") for name in ("cycles", "candidates"))
    preset = tmp_path / "chaos.yaml"
    preset.write_text(PRESET.format(cycles=cycles, candidates=candidates))
    with started(mortal_broker, mongo_url, tmp_path / "calm") as mortals:
        stack = Stack(tmp_path / "calm", mortals.servers("calm"))
        calm = end_of(stack, preset, tmp_path / "calm-out", lambda _: None)
    with started(mortal_broker, mongo_url, tmp_path / "storm") as mortals:
        stack = Stack(tmp_path / "storm", mortals.servers("storm"))
        storm = Storm(stack, mortals, request.config)
        end = end_of(stack, preset, tmp_path / "storm-out", storm)
        evaluated, judged = asyncio.run(events_per_candidate(mortals.servers("storm")))
        aside = asyncio.run(parked(mortals.servers("storm")))
    print(json.dumps({"killed": storm.killed, "seconds": [calm.summary["seconds"], end.summary["seconds"]]}))
    storm.check()
    assert end.summary["reason"] == calm.summary["reason"] == "completed"
    assert len(end.candidates) == cycles * candidates
    assert end.results == calm.results
    assert (set(evaluated.values()), len(evaluated)) == ({1}, cycles * candidates)
    assert set(judged.values()) == {1}
    assert aside == []
