"""Does anything stay behind? A thousand candidates in a row on two slots, half of them hostile or broken.

    python benchmarks/leaks.py --candidates 1000

After a warm-up, and between batches in which nothing runs, the service and its fork server are looked at from outside.
Writes benchmarks/results/leaks.json, docs/images/leaks.svg and docs/results/leaks.md.
"""

import argparse
import asyncio
import gc
import json
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from archloop.ops import logging
from archloop.protocols import Protocol
from services.evaluator.devices import Device
from services.evaluator.evaluator import Evaluator
from services.evaluator.sandbox.client import ForkServerSandbox
from tests.unit.evaluator.support import GOOD, HELDOUT, LIMITS, TINY, good, quadrants, unvarying

RESULT, IMAGE, PAGE = (
    Path("benchmarks/results/leaks.json"),
    Path("docs/images/leaks.svg"),
    Path("docs/results/leaks.md"),
)
MIB = 2**20
MARK = "archloop-escape"
# A runaway and a sleeper end soon, and a good candidate uses a tenth of this.
FAST = TINY.model_copy(update={"limits": LIMITS.model_copy(update={"cpu_seconds": 1.0, "wall_seconds": 3.0})})
BAD = {
    "fork bomb": good(before="import os\nwhile True: os.fork()"),
    "fork bomb below Python": good(
        before="libc = __import__('ctypes').CDLL(None)\n"
        "while True:\n    libc.fork(); libc.vfork(); libc.syscall(435, 0, 0)"
    ),
    "shell in the background": good(before="import os\nos.system('sleep 100 &')"),
    "thread bomb": good(
        before="import time\nt = __import__('threading')\n"
        "while True: t.Thread(target=time.sleep, args=(99,), daemon=True).start()"
    ),
    "threads left behind": good(
        before="import time\nt = __import__('threading')\n"
        "for _ in range(8): t.Thread(target=time.sleep, args=(99,), daemon=True).start()"
    ),
    "memory hog": good(before="x = []\nwhile True: x.append(bytearray(1 << 24))"),
    "huge tensor": good(init="self.huge = nn.Linear(100_000, 100_000)"),
    "mapped memory": good(before="x = [__import__('mmap').mmap(-1, 1 << 26) for _ in range(100)]"),
    "flood of stdout": good(before="import os\nwhile True: os.write(1, bytes(1 << 20))"),
    "flood of results": good(before="import os\nwhile True: os.write(3, bytes(1 << 20))"),
    "garbage as a result": good(before="import os\nos.write(3, b'accuracy: 1.0'); os._exit(0)"),
    "leaves early": good(learn="import os\nos._exit(0)"),
    "segmentation fault": good(learn="__import__('ctypes').string_at(0)"),
    "abort": good(before="import os\nos.abort()"),
    "endless loop": good(before="while True: pass"),
    "endless training": good(learn="while True: self(torch.randn(8, 1, 8, 8))"),
    "sleeper": good(before="import time\ntime.sleep(1000)"),
    "network": good(before="__import__('socket').socket().connect(('127.0.0.1', 5672))"),
    "kill": good(before="import os\nos.kill(-1, 9)"),
    "ptrace": good(before="__import__('ctypes').CDLL(None).syscall(101, 0, 0, 0, 0, 0)"),
    "writes to the machine": good(before=f"open('/etc/{MARK}', 'w').write('x')"),
    "fills its scratch": good(before=f"open('{MARK}', 'wb').write(bytes(8 << 20))"),
    "many files": good(before=f"[open('{MARK}-%d' % i, 'w').close() for i in range(100_000)]"),
    "open descriptors": good(before="import os\nx = [os.open('/dev/null', 0) for _ in range(10_000)]"),
    "shared memory": good(before="import torch\ntorch.zeros(4).share_memory_()"),
    "syntax error": "x = (\n" + GOOD,
    "deep nesting": "x = " + "-" * 400_000 + "1",
    "no Net": "import torch\n",
    "forbidden import": "import requests\n" + GOOD,
    "shape error": GOOD.replace("nn.Linear(32", "nn.Linear(33"),
    "wrong output": good(forward="return x"),
    "build error": good(init="self.nothing"),
    "training error": good(learn="raise ValueError('x')"),
}
TEXT = """# A thousand candidates in a row

`python benchmarks/leaks.py --candidates {candidates}`: {candidates:,} candidates on two slots in {minutes:.1f} minutes,
half of them the good network of the tests, half hostile or broken in {kinds} ways. Before that {warm_up} of the same
kinds to warm up. Looked at after every {batch}, when none runs.

![Memory](../images/leaks.svg)

| | before | after | a thousand add |
|---|---|---|---|
{rows}

- The fork server at the end is {server}.
- The good network was told the same every time, to the last digit of its loss curve: {same}.
- Failures of the sandbox itself: {failures}.
- After closing: {closed}.

What a thousand add is the slope of a line through all samples for memory, else the difference. `/tmp` and `/dev/shm`
are shared with whatever else the machine does.

| candidate | outcomes |
|---|---|
{outcomes}
"""
Sample = dict[str, Any]


@dataclass
class Trial:
    """One evaluator under test, and what it said."""

    evaluator: Evaluator
    sandbox: ForkServerSandbox
    protocol: Protocol = FAST
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    good: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)

    async def evaluate(self, name: str) -> None:
        """Evaluate a candidate by its name. What the sandbox itself fails at is kept, and goes on."""
        try:
            told = await self.evaluator.evaluate(BAD.get(name, GOOD), self.protocol)
        except Exception as error:  # noqa: BLE001 - every failure of ours is to be counted
            self.failures.append(f"{name}: {type(error).__name__}: {error}")
            return
        self.outcomes.setdefault(name, Counter())[told.outcome] += 1
        if name not in BAD:
            self.good.add(json.dumps(unvarying(told), default=str))

    def look(self, candidates: int, seconds: float) -> Sample:
        """Everything that could pile up, while no candidate runs."""
        gc.collect()  # what waits for the collector is no leak
        launcher = psutil.Process(self.sandbox.pid)
        (server,) = launcher.children()
        service = psutil.Process()
        tree = service.children(recursive=True)
        return {
            "candidates": candidates,
            "seconds": seconds,
            **memory("service", service),
            **memory("fork server", server),
            "processes": len(tree),
            "service: descriptors": service.num_fds(),
            "fork server: descriptors": server.num_fds(),
            "launcher: descriptors": launcher.num_fds(),
            "service: threads": service.num_threads(),
            "fork server: threads": server.num_threads(),
            "service: mounts": mounts(service.pid),
            "fork server: mounts": mounts(server.pid),
            "control groups": groups(),
            "/dev/shm": entries("/dev/shm"),
            "/tmp": entries("/tmp"),
            "files of candidates on the machine": sum(
                len(list(Path(p).glob(f"{MARK}*"))) for p in ("/", "/etc", "/tmp")
            ),
            "pid": server.pid,
        }


def memory(name: str, process: psutil.Process) -> dict[str, float]:
    """MiB: resident, and held alone (unique set size)."""
    full = process.memory_full_info()
    return {f"{name}: resident, MiB": full.rss / MIB, f"{name}: held alone, MiB": full.uss / MIB}


def mounts(pid: int) -> int:
    return len(Path(f"/proc/{pid}/mountinfo").read_text().splitlines())


def groups() -> int:
    """Control groups of this process; those of other evaluators on the machine are theirs."""
    return len(list(Path("/sys/fs/cgroup").rglob(f"archloop-{os.getpid()}-*")))


def entries(folder: str) -> int:
    return len(list(Path(folder).iterdir()))


def names(count: int, seed: int = 0) -> list[str]:
    """Half good, half bad, every kind of bad as often as any other, shuffled."""
    bad = [list(BAD)[index % len(BAD)] for index in range(count // 2)]
    mixed = bad + ["good"] * (count - len(bad))
    random.Random(seed).shuffle(mixed)
    return mixed


async def run(options: argparse.Namespace) -> dict[str, Any]:
    sandbox = ForkServerSandbox([Device.cpu()] * 2)
    trial = Trial(Evaluator(sandbox, quadrants, HELDOUT), sandbox)
    try:
        await sandbox.start()
        await _batch(trial, names(options.warm_up, seed=1))
        samples = await _watched(trial, names(options.candidates), options.batch)
    finally:
        await sandbox.close()
        await trial.evaluator.close()
    return {
        "samples": samples,
        "outcomes": {name: dict(count) for name, count in sorted(trial.outcomes.items())},
        "good": len(trial.good),
        "failures": trial.failures,
        "closed": {"processes": len(psutil.Process().children(recursive=True)), "control groups": groups()},
    }


async def _watched(trial: Trial, order: Sequence[str], size: int) -> list[Sample]:
    """A sample before, and after every batch."""
    began = time.monotonic()
    samples = [trial.look(0, 0.0)]
    for first in range(0, len(order), size):
        await _batch(trial, order[first : first + size])
        samples.append(trial.look(min(first + size, len(order)), time.monotonic() - began))
        print(samples[-1]["candidates"], "candidates", f"{samples[-1]['seconds']:.0f} s", flush=True)
    return samples


async def _batch(trial: Trial, order: Sequence[str]) -> None:
    await asyncio.gather(*map(trial.evaluate, order))


def slope(samples: Sequence[Sample], key: str) -> float:
    """By how much it grows in a thousand candidates: a line through all samples."""
    return float(1000 * np.polyfit([s["candidates"] for s in samples], [s[key] for s in samples], 1)[0])


def draw(samples: Sequence[Sample], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    done = [s["candidates"] for s in samples]
    for name, colour in (("service", "#1f6feb"), ("fork server", "#8b949e")):
        for what, style in (("resident", "--"), ("held alone", "-")):
            values = [s[f"{name}: {what}, MiB"] for s in samples]
            axes.plot(done, values, color=colour, linestyle=style, linewidth=1.3, label=f"{name}, {what}")
    axes.set(xlabel="candidates after warm-up", ylabel="MiB", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def page(result: dict[str, Any], options: argparse.Namespace) -> str:
    samples = result["samples"]
    last = samples[-1]
    return TEXT.format(
        candidates=last["candidates"],
        minutes=last["seconds"] / 60,
        kinds=len(BAD),
        warm_up=options.warm_up,
        batch=options.batch,
        rows="\n".join(_row(samples, key) for key in last if key not in ("candidates", "seconds", "pid")),
        server="the same process as before" if len({s["pid"] for s in samples}) == 1 else "**another process**",
        same="yes" if result["good"] == 1 else "**no**",
        failures=len(result["failures"]),
        closed=", ".join(f"{count} {what}" for what, count in result["closed"].items()),
        outcomes="\n".join(f"| {name} | {_counts(count)} |" for name, count in result["outcomes"].items()),
    )


def _row(samples: Sequence[Sample], key: str) -> str:
    first, last = samples[0][key], samples[-1][key]
    if isinstance(first, float):
        return f"| {key} | {first:.1f} | {last:.1f} | {slope(samples, key):+.2f} |"
    return f"| {key} | {first} | {last} | {last - first:+d} |"


def _counts(outcomes: dict[str, int]) -> str:
    return ", ".join(f"{outcome} {count}" for outcome, count in sorted(outcomes.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--warm-up", type=int, default=50)
    parser.add_argument("--batch", type=int, default=25)
    parser.add_argument("--out", type=Path, default=Path(), help="write below this folder instead")
    options = parser.parse_args()
    logging.configure(level="WARNING", json=False)
    result = asyncio.run(run(options))
    for path, text in ((RESULT, json.dumps(result, indent=1) + "\n"), (PAGE, page(result, options))):
        (options.out / path).parent.mkdir(parents=True, exist_ok=True)
        (options.out / path).write_text(text)
    draw(result["samples"], options.out / IMAGE)
    print((options.out / PAGE).read_text(), *result["failures"], sep="\n")


if __name__ == "__main__":
    main()
