"""Runs the parts one after another, each in a process of its own with a time limit, and gathers what they wrote."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.gpu import page
from benchmarks.gpu.given import ROOT
from benchmarks.gpu.parts import PARTS

RESULT, PAGE = Path("benchmarks/results/gpu.json"), Path("docs/results/gpu.md")
DRY_RESULT, DRY_PAGE = Path("gpu-dry.json"), Path("gpu-dry.md")
_GRACE_S = 5.0
Result = dict[str, Any]


class Targets(NamedTuple):
    """Files that a run of the command writes."""

    result: Path
    page: Path

    @classmethod
    def of(cls, out: Path, *, dry: bool) -> "Targets":
        """Return those below a folder; a dry run has names of its own, so that it never stands for a GPU's figures."""
        return cls(out / DRY_RESULT, out / DRY_PAGE) if dry else cls(out / RESULT, out / PAGE)


def collect(options: argparse.Namespace, machine: Mapping[str, Any]) -> Result:
    """Run the chosen parts; what one leaves of its time, later ones have."""
    targets = Targets.of(options.out, dry=options.dry)
    result: Result = json.loads(targets.result.read_text()) if targets.result.exists() else {}
    deadline = time.monotonic() + 60 * options.minutes
    for number, name in enumerate(options.only):
        limit = share(options.only[number:], deadline - time.monotonic())
        told = run(name, limit, options)
        kept = result.get(name, {}).get("steps", {}) if options.steps else {}
        result[name] = {"machine": machine, **told, "steps": kept | told["steps"]}
        write(targets, result, dry=options.dry)
        print(f"{name}: {result[name]['ended']}, {result[name]['seconds']:.0f} s", flush=True)
    return result


def share(names: Sequence[str], seconds: float) -> float:
    """Return the seconds of the first of these parts, when so many are left for all of them."""
    return max(0.0, seconds) * PARTS[names[0]].share / sum(PARTS[name].share for name in names)


def write(targets: Targets, result: Result, *, dry: bool) -> None:
    """Write JSON and page."""
    for path, text in (
        (targets.result, json.dumps(result, indent=1) + "\n"),
        (targets.page, page.page(result, dry=dry)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def run(name: str, seconds: float, options: argparse.Namespace) -> Result:
    """Run one part to its end or its limit; what it wrote until then counts."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"gpu-{name}-") as folder:
        answer, log = Path(folder, "answer"), Path(folder, "log")
        answer.touch()
        with log.open("wb") as said:
            process = subprocess.Popen(
                command(name, answer, seconds, options), cwd=ROOT, stdout=said, stderr=subprocess.STDOUT,
                start_new_session=True, env=environment(name, options),
            )  # fmt: skip
            ended = _ended(process, seconds + _GRACE_S)
        steps = gathered(answer.read_text())
        lines = log.read_text(errors="replace").strip().splitlines()
        if options.log is not None:
            options.log.mkdir(parents=True, exist_ok=True)
            (options.log / f"gpu-{name}.log").write_text("\n".join(lines) + "\n")
    if ended.startswith("failed") and lines:
        ended = f"{ended}: {lines[-1][:400]}"
    return {"ended": ended, "seconds": round(time.monotonic() - began, 1), "limit_s": round(seconds), "steps": steps}


def command(name: str, answer: Path, seconds: float, options: argparse.Namespace) -> list[str]:
    """Return the command of one part."""
    more = [*(["--dry"] if options.dry else []), *(["--data", str(options.data)] if options.data else [])]
    more += ["--model", options.model] if options.model else []
    more += ["--steps", options.steps] if options.steps else []
    where = ["--gpu", options.gpu, "--answer", str(answer), "--seconds", f"{seconds:.1f}"]
    return [sys.executable, "-m", "benchmarks.gpu", "--part", name, *where, *more]


def environment(name: str, options: argparse.Namespace) -> dict[str, str]:
    """Return this environment, without our settings; libraries stay off the network.

    A part sees the chosen GPU alone, but `run`, which is told its GPU as a user tells it.
    """
    seen = {} if name == "run" else {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": options.gpu}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ARCHLOOP_")}  # noqa: TID251
    offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
    return kept | offline | ({"CUDA_VISIBLE_DEVICES": ""} if options.dry else seen)


def gathered(text: str) -> dict[str, Any]:
    """Return the figures by step from the lines that a part wrote; a torn last line is left out.

    Only a step that did not end says so.
    """
    steps: dict[str, Any] = {}
    for line in text.splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            continue
        steps.setdefault(told.pop("step"), {}).update(told)
    return {
        step: {name: value for name, value in figures.items() if name != "unfinished" or value}
        for step, figures in steps.items()
    }


def _ended(process: "subprocess.Popen[bytes]", seconds: float) -> str:
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        return "stopped at its time limit"
    finally:
        # Whatever it has started is of its session and goes with it.
        if process.poll() is None or _alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return "done" if status == 0 else f"failed with status {status}"


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
