"""A run killed at any moment and resumed is the run it would have been."""

import json
import random
import subprocess
from pathlib import Path

import psutil
import pytest

from archloop.contracts.base import candidate_id
from tests.support import Recorded, archloop, command, recorded, small_preset

CYCLES, CANDIDATES = 2, 5


def children_gone(parent: psutil.Process, family: list[psutil.Process]) -> bool:
    """On a busy machine a process that is about to load torch takes its time to see that nobody is there."""
    _, alive = psutil.wait_procs([parent, *family], timeout=45)
    return not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def kill_after(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """SIGKILL the one process a user sees; its children must follow by themselves. False if it ended before."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        parent = psutil.Process(process.pid)
        family = parent.children(recursive=True)
        process.kill()
        process.wait()
        assert children_gone(parent, family), "children outlived their parent"
        return True
    return False


def unchanged(before: Recorded, after: Recorded) -> bool:
    return all(old.items() <= new.items() for old, new in zip(before, after, strict=True))


def evaluated(directory: Path) -> list[str]:
    """Candidates whose evaluation was handled, in the order of the log."""
    log = directory / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")] if log.exists() else []
    return [x["candidate_id"] for x in lines if x["event"] == "handled" and x["service"] == "evaluator"]


def onwards(directory: Path, preset: Path) -> tuple[object, ...]:
    """On a busy machine every kill may come before the run has a folder to go on from."""
    started = (directory / "manifest.json").exists()
    return ("resume", directory) if started else ("run", "--preset", preset, "--out", directory)


def drive(directory: Path, preset: Path, rng: random.Random, kills: int) -> int:
    """Start and kill the run until it ends by itself or enough kills were made; check what must hold at each."""
    before, handled = recorded(directory), 0
    for kill in range(kills):
        with subprocess.Popen(
            command(*onwards(directory, preset)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            killed = kill_after(process, rng.uniform(0.5, 16.0))
        after, log = recorded(directory), evaluated(directory)
        assert unchanged(before, after)
        assert not set(log[handled:]) & before.evaluations.keys(), "work recorded as done was done again"
        before, handled = after, len(log)
        if not killed:
            return kill
    final = archloop(*onwards(directory, preset))
    assert final.returncode == 0, final.stderr
    assert unchanged(before, recorded(directory))
    return kills


def complete(directory: Path, run_id: str) -> None:
    end = recorded(directory)
    expected = {candidate_id(run_id, c, i) for c in range(CYCLES) for i in range(CANDIDATES)}
    assert end.codes.keys() == expected == end.evaluations.keys()
    summary = json.loads((directory / "summary.json").read_text())
    assert len(end.verdicts) == sum(cycle["valid"] for cycle in summary["cycles"])
    assert (directory / "report.html").exists()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_run_killed_at_random_moments_ends_complete_with_each_effect_once(tmp_path: Path, request) -> None:
    rng = random.Random(7)
    left, seed = request.config.getoption("--kills"), 5
    while left > 0:
        preset = small_preset(tmp_path, cycles=CYCLES, candidates=CANDIDATES, seed=seed)
        directory = tmp_path / f"run-{seed}"
        left -= drive(directory, preset, rng, left)
        complete(directory, f"small-s{seed}")
        seed += 1
