"""What the evaluator costs beyond training: against a bare loop, at the start, for what is rejected, by slots.

    python benchmarks/evaluator.py --run runs/study/s0 --reference /tmp/reference

Methods alternate within every round. Writes benchmarks/results/evaluator.json and docs/benchmarks.md; with `--only`
other parts keep what they were. `--reference` names a folder for the reference's own environment.
"""

import argparse
import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from archloop import protocols
from archloop.contracts.values import Evaluation, Outcome, SandboxLevel, SourceCode
from archloop.ops import logging
from archloop.protocols import Protocol
from benchmarks import evaluator_page, evaluator_reference
from services.evaluator import datasets
from services.evaluator.devices import Device
from services.evaluator.evaluator import Evaluator
from services.evaluator.sandbox.client import ForkServerSandbox
from services.evaluator.sandbox.port import Job, JobResult
from services.evaluator.secret import PUBLISHED, Secret

HELDOUT = Secret.of(PUBLISHED)
RESULT, PAGE = Path("benchmarks/results/evaluator.json"), Path("docs/benchmarks.md")
SHAPES = protocols.load("shapes")
WIDTHS = {"about 1 s": 20, "about 10 s": 112}
NET = """
import torch
from torch import nn


def supported_hyperparameters():
    return {"lr", "momentum"}


def block(cin, cout):
    return nn.Sequential(nn.Conv2d(cin, cout, 3, padding=1), nn.BatchNorm2d(cout), nn.ReLU())


class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.device = device
        self.features = nn.Sequential(
            block(in_shape[1], WIDTH), block(WIDTH, WIDTH), nn.MaxPool2d(2), block(WIDTH, 2 * WIDTH), nn.MaxPool2d(2)
        )
        self.head = nn.Linear(2 * WIDTH, out_shape[0])

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))

    def train_setup(self, prm):
        self.to(self.device)
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.parameters(), lr=prm["lr"], momentum=prm["momentum"])

    def learn(self, train_data):
        for inputs, labels in train_data:
            inputs, labels = inputs.to(self.device), labels.to(self.device)
            self.optimizer.zero_grad()
            self.loss(self(inputs), labels).backward()
            self.optimizer.step()
"""
# The clock of the kernel is the same in the sandbox: a candidate can say when its own first line ran.
FIRST_LINE = f"import time\nraise ValueError(time.monotonic())\n{NET.replace('WIDTH', '8')}"
BROKEN = f"x = (\n{NET.replace('WIDTH', '8')}"
Row = dict[str, float]


@dataclass
class Watched:
    """A sandbox that remembers its last job, when it was ordered and when answered."""

    inner: ForkServerSandbox
    level: SandboxLevel = SandboxLevel.NAMESPACES
    job: Job = field(init=False)
    result: JobResult = field(init=False)
    ordered: float = 0.0
    answered: float = 0.0

    async def run(self, job: Job) -> JobResult:
        """See the port."""
        self.job, self.ordered = job, time.monotonic()
        self.result = await self.inner.run(job)
        self.answered = time.monotonic()
        return self.result


@dataclass(frozen=True)
class Bench:
    """An evaluator that is warm."""

    evaluator: Evaluator
    watched: Watched

    @classmethod
    @asynccontextmanager
    async def of(cls, slots: int) -> AsyncIterator["Bench"]:
        """With this many slots, its fork server started and its data loaded."""
        watched = Watched(ForkServerSandbox([Device.cpu()] * slots))
        evaluator = Evaluator(watched, partial(datasets.load, root=Path(), secret=HELDOUT), HELDOUT)
        try:
            await watched.inner.start()
            await evaluator.evaluate(BROKEN, SHAPES)
            yield cls(evaluator, watched)
        finally:
            await watched.inner.close()
            await evaluator.close()

    async def clocked(self, code: str, protocol: Protocol = SHAPES) -> tuple[float, Evaluation]:
        """Seconds as whoever asks sees them, and the answer."""
        began = time.perf_counter()
        evaluation = await self.evaluator.evaluate(code, protocol)
        return time.perf_counter() - began, evaluation

    def environment(self) -> dict[str, str]:
        """Of the fork server: its threads and its allocator."""
        return psutil.Process(self.watched.inner.pid).environ()


def network(width: int) -> str:
    return NET.replace("WIDTH", str(width))


async def overhead(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Rounds of every method, for every net."""
    python = evaluator_reference.prepare(options.reference.resolve()) if options.reference else None
    rounds: dict[str, list[dict[str, Row]]] = {name: [] for name in WIDTHS}
    async with Bench.of(slots=1) as bench:
        for name, width in WIDTHS.items():
            place = folder / str(width)
            await _lay_out(bench, network(width), place)
            for _ in range(options.rounds):
                rounds[name].append(await _round(bench, place, python))
                print(name, json.dumps(rounds[name][-1]), flush=True)
    return {"reference": evaluator_reference.RELEASE if python else None, "nets": rounds}


async def _lay_out(bench: Bench, code: str, place: Path) -> None:
    """What the yardsticks work on: the same source, task and arrays as the sandbox was given."""
    place.mkdir()
    await bench.clocked(code)
    data = datasets.load(SHAPES.dataset, Path(), HELDOUT)
    names = ("train_images", "train_labels", "heldout_images", "heldout_labels", "validation", "mean", "std")
    arrays: dict[str, Any] = {name: getattr(data, name) for name in names}
    np.savez(place / "data.npz", **arrays)
    (place / "task.json").write_text(bench.watched.job.task.encode())
    (place / "net.py").write_text(code)


async def _round(bench: Bench, place: Path, python: Path | None) -> dict[str, Row]:
    seconds, told = await bench.clocked((place / "net.py").read_text())
    ours = {"wall": seconds, "cpu": told.cpu_seconds, "accuracy": told.accuracy or 0.0}
    tuned = bench.environment()
    plain = {name: value for name, value in tuned.items() if not name.startswith("MALLOC_")}
    rows = {"archloop": ours, "bare": _bare(place, tuned), "bare, plain allocator": _bare(place, plain)}
    return rows | ({"reference": _reference(place, python)} if python else {})


def _bare(place: Path, environment: Mapping[str, str]) -> Row:
    command = [sys.executable, str(Path(__file__).with_name("evaluator_alone.py")), str(place)]
    return _told(command, {**environment, "PYTHONPATH": os.pathsep.join(sys.path)})


def _reference(place: Path, python: Path) -> Row:
    """In the reference's own folder, where it keeps a database; `process` has start and imports in it."""
    work = python.parents[2] / "work"
    work.mkdir(exist_ok=True)
    path = os.pathsep.join((str(python.parent), os.defpath))
    environment = {"PATH": path, "PYTHONPATH": str(work), "OMP_NUM_THREADS": "1", "HOME": str(work)}
    began = time.perf_counter()
    row = _told([str(python), evaluator_reference.__file__, str(place)], environment, work)
    return row | {"process": time.perf_counter() - began}


def _told(command: list[str], environment: Mapping[str, str], folder: Path | None = None) -> Row:
    done = subprocess.run(command, env=environment, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


async def start(options: argparse.Namespace, _: Path) -> list[dict[str, list[float]]]:
    """Milliseconds from the order to the candidate's first line, and of whole jobs that end at parsing, by turns."""
    async with Bench.of(slots=1) as bench:
        return [await _starts(bench, options.starts) for _ in range(options.rounds)]


async def _starts(bench: Bench, count: int) -> dict[str, list[float]]:
    seen: dict[str, list[float]] = {"first line": [], "evaluation": [], "job": [], "child": []}
    for _ in range(count):
        told = await bench.evaluator.evaluate(FIRST_LINE, SHAPES)
        ran = re.search(r"[\d.]+", told.detail)
        assert ran is not None
        seen["first line"].append(1000 * (float(ran[0]) - bench.watched.ordered))
        seconds, told = await bench.clocked(BROKEN)
        assert told.outcome is Outcome.SYNTAX_ERROR
        seen["evaluation"].append(1000 * seconds)
        seen["job"].append(1000 * (bench.watched.answered - bench.watched.ordered))
        seen["child"].append(1000 * bench.watched.result.wall)
    return seen


async def rejected(options: argparse.Namespace, _: Path) -> dict[str, Any] | None:
    """Every candidate of the runs that was not ok, evaluated again; those that never trained, once a round."""
    found = [candidate for run in options.run for candidate in invalid(run)]
    if not found:
        return None
    rows = []
    async with Bench.of(slots=1) as bench:
        for code, protocol in found:
            seconds, told = await bench.clocked(code, protocol)
            again = options.rounds - 1 if told.stage not in ("train", "predict") else 0
            walls = [seconds, *[(await bench.clocked(code, protocol))[0] for _ in range(again)]]
            rows.append({"outcome": told.outcome, "stage": told.stage, "ms": [1000 * wall for wall in walls]})
    return {"runs": len(options.run), "candidates": rows}


def invalid(run: Path) -> list[tuple[str, Protocol]]:
    """Code and protocol of what a run's registry holds as not ok. An answer without code costs no evaluation."""
    with sqlite3.connect(f"file:{run / 'registry.sqlite'}?mode=ro", uri=True) as registry:
        specs = dict(registry.execute("SELECT run_id, spec FROM runs"))
        query = "SELECT run_id, code FROM candidate_rows WHERE outcome != 'ok' AND code IS NOT NULL"
        rows = registry.execute(f"{query} ORDER BY cycle, idx").fetchall()
    loaded = {name: protocols.load(json.loads(spec)["protocol"]) for name, spec in specs.items()}
    return [(_text(run, SourceCode.model_validate_json(code)), loaded[name]) for name, code in rows]


def _text(run: Path, code: SourceCode) -> str:
    if code.blob is None:
        return code.text or ""
    return (run / "blobs" / code.blob.key).read_bytes().decode("utf-8", "surrogatepass")


async def slots(options: argparse.Namespace, _: Path) -> list[dict[str, float]]:
    """Candidates a minute with one slot and with two, a batch of each in every round."""
    code = network(WIDTHS["about 1 s"])
    async with Bench.of(slots=1) as one, Bench.of(slots=2) as two:
        benches = {"1": one, "2": two}
        return [
            {name: await _pace(bench, code, options.batch) for name, bench in benches.items()}
            for _ in range(options.rounds)
        ]


async def _pace(bench: Bench, code: str, count: int) -> float:
    began = time.perf_counter()
    told = await asyncio.gather(*(bench.evaluator.evaluate(code, SHAPES) for _ in range(count)))
    assert {one.outcome for one in told} == {Outcome.OK}
    return 60 * count / (time.perf_counter() - began)


PARTS: dict[str, Callable[[argparse.Namespace, Path], Awaitable[Any]]] = {
    "overhead": overhead,
    "start": start,
    "rejected": rejected,
    "slots": slots,
}


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for part in options.only:
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory() as folder:
            figures = await PARTS[part](options, Path(folder))
        result[part] = {"cores": os.cpu_count(), "rounds": options.rounds, "load before": load, "figures": figures}
        print(part, "done", flush=True)
    return result


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--starts", type=int, default=40, help="candidates a round of the start")
    parser.add_argument("--batch", type=int, default=16, help="candidates a round of the slots")
    parser.add_argument("--run", type=Path, nargs="*", default=[], help="directories of runs, for what is rejected")
    parser.add_argument("--reference", type=Path, help="a folder for the environment of the reference")
    parser.add_argument("--out", type=Path, default=Path(), help="write below this folder instead")
    return parser.parse_args()


def main() -> None:
    logging.configure(level="WARNING", json=False)
    chosen = options()
    target, page = chosen.out / RESULT, chosen.out / PAGE
    result = json.loads(target.read_text()) if target.exists() else {}
    result |= asyncio.run(measure(chosen))
    for path, text in ((target, json.dumps(result, indent=1) + "\n"), (page, evaluator_page.page(result))):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    print(page.read_text())


if __name__ == "__main__":
    main()
