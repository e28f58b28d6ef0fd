"""Does memory stay flat, and do queues stay short? A long run of all services as processes, evaluation slept.

    python benchmarks/soak.py --cycles 20 --candidates 500

The broker, the object store, the language model, novelty and training are real; the evaluator sleeps and the
registry is on SQLite (`soak_services.py`). Writes benchmarks/results/soak.json, docs/images/soak.svg and
docs/results/soak.md.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
import psutil

mpl.use("svg")
import matplotlib.pyplot as plt

from archloop.bus.amqp import AmqpBus
from archloop.contracts.topology import QUEUES
from tests.servers.rabbitmq import rabbitmq_server
from tests.servers.s3 import seaweedfs
from tests.stack import SERVICES, Servers, Stack
from tests.stack.stack import get

RESULT, IMAGE, PAGE = Path("benchmarks/results/soak.json"), Path("docs/images/soak.svg"), Path("docs/results/soak.md")
MIB = 2**20
WATCHED = (*SERVICES, "modelserver")
PRESET = """
preset: soak
cycles: {cycles}
candidates: {candidates}
protocol: digits
base_model: tiny
selection: {{threshold: 0.6, fallback_threshold: 0.4, minimum: 15, quota: 4, replay: 16}}
training: {{epochs: 1, minimum_steps: 10, batch_size: 4}}
"""
Sample = dict[str, Any]


def memory(pid: int) -> float:
    """MiB that a process and its children hold alone (unique set size)."""
    total = 0
    for process in (parent := psutil.Process(pid), *parent.children(recursive=True)):
        try:
            total += process.memory_full_info().uss
        except psutil.Error:
            continue
    return total / MIB


async def depths(bus: AmqpBus) -> dict[str, int]:
    """Messages that are ready, by queue."""
    return {queue.name: await bus.depth(queue) for queue in QUEUES}


def settled(stack: Stack) -> int:
    """Candidates that have been evaluated."""
    answer = get(f"{stack.url}/runs/soak/summary", 60)
    return sum(cycle["evaluated"] for cycle in answer.body["cycles"]) if answer.status == 200 else 0


async def watch(stack: Stack, client: subprocess.Popen[bytes], interval_s: float) -> list[Sample]:
    """A sample every so often until the client ends."""
    bus, began, samples = AmqpBus(stack.servers.broker_url, "soak"), time.monotonic(), []
    await bus.connect()
    while client.poll() is None:
        held = {name: memory(p.running.pid) for name, p in stack.processes.items() if p.running}
        sample = {"seconds": time.monotonic() - began, "candidates": settled(stack), "memory": held}
        samples.append(sample | {"queues": await depths(bus)})
        await asyncio.sleep(interval_s)
    await bus.close()
    return samples


def soak(options: argparse.Namespace, folder: Path) -> list[Sample]:
    """The whole run."""
    for name in ("rabbitmq", "s3"):
        (folder / name).mkdir()
    preset = folder / "soak.yaml"
    preset.write_text(PRESET.format(cycles=options.cycles, candidates=options.candidates))
    program = str(Path(__file__).with_name("soak_services.py"))
    instead = {"evaluator": [program, "evaluator"], "registry": [program, "registry", str(folder / "registry.sqlite")]}
    with rabbitmq_server(folder / "rabbitmq") as broker, seaweedfs(folder / "s3") as objects:
        stack = Stack(folder, Servers(broker.url, "", objects.s3, database="soak", bucket="soak"), instead)
        try:
            stack.start()
            with stack.run(preset, "soak", folder / "out") as client:
                return asyncio.run(watch(stack, client, options.interval))
        finally:
            stack.stop()


def growth(samples: list[Sample], name: str) -> dict[str, float]:
    """After warm-up, which is the first fifth: the median of the first and of the last quarter, MiB."""
    total = samples[-1]["candidates"]
    warm = [s["memory"][name] for s in samples if s["candidates"] >= total / 5]
    quarter = max(1, len(warm) // 4)
    first, last = statistics.median(warm[:quarter]), statistics.median(warm[-quarter:])
    return {"first": first, "last": last, "per 1,000": (last - first) / (0.6 * total) * 1000}


def draw(samples: list[Sample]) -> None:
    """Memory above, queues below, over candidates."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 6), sharex=True, layout="constrained")
    done = [s["candidates"] for s in samples]
    for name in WATCHED:
        above.plot(done, [s["memory"][name] for s in samples], label=name, linewidth=1.3)
    for queue in QUEUES:
        below.plot(done, [s["queues"][queue.name] for s in samples], label=queue.name, linewidth=1.0)
    above.set(ylabel="memory held alone, MiB", ylim=(0, None), title="Memory of the services")
    below.set(ylabel="messages that wait", xlabel="candidates evaluated", ylim=(0, None), title="Queues")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    figure.savefig(IMAGE)


def page(samples: list[Sample], options: argparse.Namespace) -> str:
    """The table and what it shows."""
    end = samples[-1]
    rows = [f"| {name} | {g['first']:.0f} | {g['last']:.0f} | {g['per 1,000']:+.2f} |" for name in WATCHED
            if (g := growth(samples, name))]  # fmt: skip
    most = {queue.name: max(s["queues"][queue.name] for s in samples) for queue in QUEUES}
    return f"""# A long run

`python benchmarks/soak.py --cycles {options.cycles} --candidates {options.candidates}`: {end["candidates"]:,}
candidates in {end["seconds"] / 60:.0f} minutes through the five services and the CPU model server as processes, on
RabbitMQ and an S3 server. The language model, novelty, LoRA training and adapters are real. Evaluation is slept, and
the registry is on SQLite: no test server for MongoDB bears so many documents.

![Memory and queues](../images/soak.svg)

| | MiB after warm-up | MiB at the end | MiB per 1,000 candidates |
|---|---|---|---|
{chr(10).join(rows)}

Memory is what a process and its children hold alone. Warm-up is the first fifth of the run; then the median of the
first quarter of the samples stands against that of the last. Novelty holds the shingles and signature of every
valid network in memory, to verify against: its growth is that of the archive, and stops where nothing is judged.

Most messages that waited at once: {", ".join(f"{name} {count}" for name, count in most.items())}; a cycle asks for
{options.candidates} at once.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--candidates", type=int, default=500)
    parser.add_argument("--interval", type=float, default=5.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        samples = soak(options, Path(folder))
    RESULT.write_text(json.dumps(samples) + "\n")
    draw(samples)
    PAGE.write_text(page(samples, options))
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
