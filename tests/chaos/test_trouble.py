"""A broker that takes nothing for a while, and a worker that is frozen: the run ends as it would have without."""

import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.servers.process import free_ports
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.s3 import S3
from tests.stack import SERVICES, Servers, Stack
from tests.stack.stack import Process, get
from tests.support import small_preset

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
Trouble = Callable[[], None]


@pytest.fixture(scope="module")
def stack(mortal_broker: RabbitMQ, mongo_url: str, s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """With a heartbeat of five seconds, so that nobody waits long for one who is frozen."""
    servers = Servers(f"{mortal_broker.url}?heartbeat=5", mongo_url, s3, database="trouble", bucket="trouble")
    stack = Stack(Path(tmp_path_factory.mktemp("stack")), servers)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def second(stack: Stack, tmp_path: Path) -> Iterator[Process]:
    """Another evaluator."""
    (port,) = free_ports(1)
    first = stack.processes["evaluator"]
    process = replace(first, env={**first.env, "ARCHLOOP_EVALUATOR_PORT": str(port)}, folder=tmp_path, running=None)
    process.start()
    yield process
    process.kill()


def ended(stack: Stack, folder: Path, name: str, trouble: Trouble = lambda: None) -> list[tuple[Any, ...]]:
    """The results of a run during which there was trouble, once it is on record."""
    folder.mkdir()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with stack.run(small_preset(folder, cycles=1, candidates=12), name, folder / "out", **quiet) as client:
        until(lambda: get(f"{stack.url}/runs/{name}/summary").status == 200)
        trouble()
        assert client.wait(240) == 0
    candidates = json.loads((folder / "out" / "candidates.json").read_text())
    told = ("cycle", "index", "code_sha256", "admitted")
    return [(*(c[key] for key in told), c["evaluation"]["outcome"], c["evaluation"]["accuracy"]) for c in candidates]


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def handled(log: Path, run: str) -> Counter[str]:
    """How often each candidate of the run was handled."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return Counter(each["candidate_id"] for each in lines if each["event"] == "handled" and each["run_id"] == run)


@contextmanager
def frozen(service: Process) -> Iterator[None]:
    """The service and all below it stand still."""
    assert service.running is not None
    whole = psutil.Process(service.running.pid)
    for process in (*whole.children(recursive=True), whole):
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in (*whole.children(recursive=True), whole):
            process.send_signal(signal.SIGCONT)


def parked(stack: Stack) -> int:
    return sum(each["parked"] for each in get(f"{stack.url}/queues").body)


@pytest.fixture(scope="module")
def calm(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    return ended(stack, tmp_path_factory.mktemp("calm") / "run", "calm")


@pytest.mark.parametrize("resource", ["memory", pytest.param("disk", marks=pytest.mark.thorough)])
def test_an_alarm_costs_no_evaluation_and_parks_nothing(
    stack: Stack, calm: list[tuple[Any, ...]], mortal_broker: RabbitMQ, tmp_path: Path, resource: str
) -> None:
    run, begun = f"alarm-{resource}", tmp_path / "begun"
    mortal_broker.alarm(resource, on=True, once=begun)

    def alarm() -> None:
        until(lambda: handled(stack.processes["evaluator"].log, run).total() > 0)
        begun.touch()
        try:
            until(lambda: any("memory or disk" in str(stack.health(each).body) for each in SERVICES))
            time.sleep(13)  # longer than a confirmation was waited for once
            assert {stack.health(service, "livez").status for service in SERVICES} == {200}
        finally:
            mortal_broker.alarm(resource, on=False)

    assert ended(stack, tmp_path / "run", run, alarm) == calm
    times = handled(stack.processes["evaluator"].log, run)
    assert (set(times.values()), len(times), parked(stack)) == ({1}, len(calm), 0)


def test_what_a_frozen_evaluator_holds_is_evaluated_by_another(
    stack: Stack, calm: list[tuple[Any, ...]], second: Process, tmp_path: Path
) -> None:
    first = stack.processes["evaluator"]
    with ExitStack() as freezer:

        def freeze() -> None:
            until(lambda: handled(first.log, "frozen").total() > 0)
            freezer.enter_context(frozen(first))

        assert ended(stack, tmp_path / "run", "frozen", freeze) == calm
        assert first.running is not None
        assert psutil.Process(first.running.pid).status() == psutil.STATUS_STOPPED
    assert handled(second.log, "frozen")
    until(lambda: stack.health("evaluator").status == 200)
    events = [e for e in get(f"{stack.url}/runs/frozen/candidates?limit=100").body["items"] if e["evaluation"]]
    assert (len(events), parked(stack)) == (len(calm), 0)
