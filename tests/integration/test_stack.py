"""The five services as processes on a real broker and real stores."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.servers.collector import Collector
from tests.servers.rabbitmq import RabbitMQ
from tests.stack import SERVICES, Stack
from tests.support import small_preset
from tests.tracing import check_admitted, check_tuned

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def run_there(stack: Stack, folder: Path, name: str) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return stack.run(small_preset(folder), name, folder / "out", "--json", **pipes)


def ended(client: subprocess.Popen[str]) -> tuple[str, str]:
    """What it printed; it does not outlive the test."""
    try:
        return client.communicate(timeout=240)
    finally:
        client.kill()


def test_a_run_at_the_deployment_is_followed_to_its_report_and_traced(
    stack: Stack, collector: Collector, tmp_path: Path
) -> None:
    out, err = ended(run_there(stack, tmp_path, "followed"))
    summary = json.loads(out)
    assert [cycle["generated"] for cycle in summary["cycles"]] == [5, 5], err
    assert summary["reason"] == "completed"
    assert [line.split(":")[0] for line in err.splitlines() if line.startswith("cycle ")] == ["cycle 0", "cycle 1"]
    assert "<svg" in (tmp_path / "out" / "report.html").read_text()
    candidates = json.loads((tmp_path / "out" / "candidates.json").read_text())
    assert {c["evaluation"]["sandbox_level"] for c in candidates} == {"namespaces"}
    admitted = [c["candidate_id"] for c in candidates if c["admitted"]]
    _sent(collector)
    check_admitted(collector, admitted)
    check_tuned(collector)
    _check_logs(stack, collector)


def _sent(collector: Collector) -> None:
    """Return once nothing more has come for longer than spans wait to be sent."""
    known = -1
    while known < (known := len(collector.spans)):
        time.sleep(3)


def _check_logs(stack: Stack, collector: Collector) -> None:
    """Lines of the log name the traces that there are."""
    known = {span.trace_id for span in collector.spans}
    for service in SERVICES:
        lines = [json.loads(line) for line in stack.processes[service].log.read_text().splitlines() if line[:1] == "{"]
        named = {line["trace_id"] for line in lines if line["event"] == "handled"}
        assert named, service
        assert named <= known, service


def test_every_service_tells_how_it_does(stack: Stack) -> None:
    needs = {
        "registry": {"broker", "object store", "database"},
        "generator": {"broker", "object store", "model server"},
        "evaluator": {"broker", "registry"},
        "novelty": {"broker", "object store"},
        "trainer": {"broker", "object store"},
    }
    assert {service: set(stack.health(service).body["checks"]) for service in SERVICES} == needs
    assert {stack.health(service, "livez").status for service in SERVICES} == {200}


@pytest.mark.thorough
def test_services_sit_out_a_broker_that_is_away_and_go_on_within_seconds(
    stack: Stack, mortal_broker: RabbitMQ, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    client = run_there(stack, tmp_path, "broken")
    time.sleep(8)
    processes = {name: process.running for name, process in stack.processes.items()}
    mortal_broker.kill()
    time.sleep(request.config.getoption("--away"))
    assert {service: stack.health(service).status for service in SERVICES} == dict.fromkeys(SERVICES, 503)
    assert {stack.health(service, "livez").status for service in SERVICES} == {200}
    assert "ARCHLOOP_NOVELTY_BROKER_URL" in stack.health("novelty").body["checks"]["broker"]
    mortal_broker.start()
    mortal_broker.wait()
    stack.wait_ready(15)
    out, err = ended(client)
    assert json.loads(out)["reason"] == "completed", err
    assert {name: process.running for name, process in stack.processes.items()} == processes, "a service was restarted"
    assert all(process is not None and process.poll() is None for process in processes.values())


def test_a_service_that_is_asked_to_end_finishes_what_is_in_hand(stack: Stack) -> None:
    for service in SERVICES:
        process = stack.processes[service]
        assert process.end() == 0, process.log.read_text()[-2000:]
        assert "Traceback" not in process.log.read_text()
        process.start()
    stack.wait_ready()
