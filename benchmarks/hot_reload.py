"""Does a new adapter go live under load without a dropped or misdirected answer? Our CPU server, real adapters.

    python benchmarks/hot_reload.py --adapters 20 --concurrent 50

So many generations are under way at any time, each with the newest adapter that is active when it begins, while
adapters are published one after another. That an answer is of its adapter is not taken from the client's word: the same
prompt and seed are asked of every adapter alone, before it counts, and each answer must be that text to the letter.
Writes benchmarks/results/hot_reload.json, docs/images/hot_reload.svg and docs/results/hot-reload.md.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import psutil

mpl.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import MaxNLocator

from archloop.blobs.directory import DirectoryBlobs
from archloop.bus.memory import MemoryBus
from archloop.bus.port import Delivery
from archloop.contracts.base import Message
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import (
    AdapterActivated,
    AdapterRejected,
    AdapterTrained,
    CandidateGenerated,
    GenerationRequested,
    TrainingRequested,
)
from archloop.contracts.spec import GenerationSpec, NoveltySpec
from archloop.contracts.topology import Queue
from archloop.contracts.training import TrainingSpec
from archloop.contracts.values import AdapterRef
from archloop.ops import logging
from archloop.training_pairs import encoded
from services.generator.app import backend_of, running
from services.generator.model_build import corpus
from services.generator.modelserver.process import spawned
from services.generator.settings import GeneratorSettings
from services.trainer import tuning
from services.trainer.handlers import TrainerHandler
from services.trainer.job import Job, Tuned

RESULT, IMAGE = Path("benchmarks/results/hot_reload.json"), Path("docs/images/hot_reload.svg")
PAGE = Path("docs/results/hot-reload.md")
MIB = 2**20
EVERYTHING = Queue("heard", ("#",), prefetch=1000)
SEEDS = 4
TRAINING = TrainingSpec(epochs=1, minimum_steps=16, batch_size=4)
TEXT = """# Adapters that go live under load

By `benchmarks/hot_reload.py --adapters {adapters} --concurrent {concurrent}`; numbers in
[JSON](../../benchmarks/results/hot_reload.json). {adapters} adapters of the shipped model were published one after
another, {pause_s:g} s after the one before was active, while {concurrent} generations were under way at any time, each
with the newest active adapter. {cores} cores, load {load:.1f} before it began.

| what | seen |
|---|---|
| generations asked for | {asked:,} |
| failed, parked or lost | {failed} |
| answered, to the letter, as their adapter alone answers | {right:,} |
| of another adapter or of the base | {wrong} |
| from `adapter.trained` to `adapter.activated`, median [90 %, longest] | {median:.2f} s [{high:.2f}, {longest:.2f}] |
| adapters rejected | {rejected} |
| versions in the server at once, at most | {resident} |
| memory of the model server, MiB | {first_memory:.0f} after the third, {last_memory:.0f} after the last |
| memory of the generator, MiB | {first_own:.0f} after the third, {last_own:.0f} after the last |

![Seconds to activation and memory, by adapter](../images/hot_reload.svg)

Every answer was compared with what the same adapter answered to the same prompt and seed by itself; of those {expected}
answers {alike} are like another's, so a wrong one would be seen. Before the third adapter the server fills up to two
versions, so that memory is compared from there. Each adapter is trained in earnest, on eight networks of its own.
"""


@dataclass
class Heard:
    """Everything that is said on the bus, and when."""

    messages: list[tuple[float, Message]] = field(default_factory=list)
    waiting: dict[str, asyncio.Future[CandidateGenerated]] = field(default_factory=dict)
    fate: dict[str, asyncio.Future[Message]] = field(default_factory=dict)

    async def hear(self, delivery: Delivery) -> None:
        """Wake whoever waits for it."""
        message = Envelope.parse(delivery.body).message()
        self.messages.append((time.monotonic(), message))
        if isinstance(message, CandidateGenerated) and (answer := self.waiting.pop(message.submission or "", None)):
            answer.set_result(message)
        if isinstance(message, AdapterActivated | AdapterRejected):
            self.fate[message.adapter].set_result(message)


@dataclass
class Load:
    """Generations that never stop; `expected` is what each adapter answers to each seed by itself."""

    bus: MemoryBus
    heard: Heard
    active: AdapterRef | None = None
    expected: dict[tuple[str | None, int], str] = field(default_factory=dict)
    answers: list[tuple[str | None, int, str]] = field(default_factory=list)
    asked: int = 0
    over: bool = False

    async def ask(self, adapter: AdapterRef | None, seed: int) -> str:
        """One generation, to its answer."""
        self.asked += 1
        name = f"{self.asked}"
        future = self.heard.waiting[name] = asyncio.get_running_loop().create_future()
        request = GenerationRequested(
            run_id="load", cycle=0, index=0, submission=name, seed=seed, protocol="shapes", base_model="tiny",
            generation=GenerationSpec(temperature=1.2, top_p=0.99, max_new_tokens=256),
            novelty=NoveltySpec(), adapter=adapter,
        )  # fmt: skip
        await self.bus.publish(Envelope.of(request, source="benchmark"))
        answer = await asyncio.wait_for(future, 120)
        assert answer.adapter == (adapter.adapter if adapter else None)
        return answer.code.text or ""

    async def keep_asking(self, worker: int) -> None:
        """Until it is over."""
        turn = worker
        while not self.over:
            turn += 1
            adapter, seed = self.active, turn % SEEDS
            self.answers.append((adapter.adapter if adapter else None, seed, await self.ask(adapter, seed)))


class InThisProcess:
    """Trains here, which is all the same to the adapters."""

    async def tune(self, job: Job) -> Tuned:
        """See the port."""
        return tuning.tune(job, tuning.load(job.base_model), lambda _: None)


async def published(number: int, blobs: DirectoryBlobs) -> AdapterRef:
    """An adapter of the shipped model, tuned on eight networks of its own."""
    examples = corpus.write(1000 + number, 8, among=["shapes"])
    lines = encoded(example.pair.line() for example in examples)
    message = TrainingRequested(
        run_id=f"r{number}", cycle=0, adapter=f"hot-v{number}", base_model="tiny", pair_count=len(examples),
        pairs=await blobs.put(f"pairs/{number}", lines), training=TRAINING, seed=number,
    )  # fmt: skip
    (trained,) = await TrainerHandler(blobs, InThisProcess()).handle(message)
    return trained.adapter


async def activated(load: Load, ref: AdapterRef) -> tuple[float, Message]:
    """Announce it; the seconds until a replica says what became of it."""
    fate = load.heard.fate[ref.adapter] = asyncio.get_running_loop().create_future()
    began = time.monotonic()
    trained = AdapterTrained(run_id=ref.adapter, cycle=0, adapter=ref, pair_count=1)
    await load.bus.publish(Envelope.of(trained, source="benchmark"))
    told = await asyncio.wait_for(fate, 120)
    return time.monotonic() - began, told


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    bus, blobs, heard = MemoryBus(), DirectoryBlobs(folder / "blobs"), Heard()
    await bus.declare(EVERYTHING)
    await bus.subscribe(EVERYTHING, heard.hear)
    refs = [await published(number, blobs) for number in range(options.adapters)]
    rows: list[dict[str, float]] = []
    async with spawned("tiny", slots=16, threads=1, log=folder / "log") as url:
        server = next(p for p in psutil.Process().children() if "modelserver" in " ".join(p.cmdline()))
        settings = GeneratorSettings(
            server_url=url, replica="r1", cache_dir=folder / "cache", concurrency=options.concurrent
        )
        backend = backend_of(settings)
        async with running(settings, bus=bus, blobs=blobs, backend=backend):
            load = Load(bus, heard)
            workers = [asyncio.create_task(load.keep_asking(worker)) for worker in range(options.concurrent)]
            for ref in refs:
                seconds, told = await activated(load, ref)
                load.active = ref if isinstance(told, AdapterActivated) else load.active
                resident = len(await backend.adapters())
                held = {"server": server.memory_info().rss / MIB, "own": psutil.Process().memory_info().rss / MIB}
                rejected = isinstance(told, AdapterRejected)
                rows.append({"seconds": seconds, "rejected": rejected, "resident": resident} | held)
                print(json.dumps(rows[-1]), flush=True)
                await asyncio.sleep(options.pause_s)
            load.over = True
            await asyncio.gather(*workers)
        await alone(load, refs, settings, blobs)
    parked = len(await bus.parked())
    await bus.close()
    return {"rows": rows, "asked": load.asked, "parked": parked, "answers": judged(load)}


async def alone(load: Load, refs: list[AdapterRef], settings: GeneratorSettings, blobs: DirectoryBlobs) -> None:
    """What each adapter answers with nothing else to do."""
    load.bus = MemoryBus()
    await load.bus.declare(EVERYTHING)
    await load.bus.subscribe(EVERYTHING, load.heard.hear)
    load.answers, answers = [], load.answers
    async with running(settings, bus=load.bus, blobs=blobs, backend=backend_of(settings)):
        for ref in (None, *refs):
            for seed in range(SEEDS):
                load.expected[ref.adapter if ref else None, seed] = await load.ask(ref, seed)
    load.answers = answers
    load.asked -= len(load.expected)


def judged(load: Load) -> dict[str, int]:
    alike = len(load.expected) - len(set(load.expected.values()))
    right = sum(load.expected[adapter, seed] == text for adapter, seed, text in load.answers)
    return {"right": right, "wrong": len(load.answers) - right, "expected": len(load.expected), "alike": alike}


def draw(rows: list[dict[str, float]]) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    numbers = range(1, len(rows) + 1)
    left.bar(numbers, [row["seconds"] for row in rows], color="#4c72b0")
    left.set(xlabel="adapter", ylabel="seconds until active", title="From its event until it is active")
    right.plot(numbers, [row["server"] for row in rows], color="#55a868", label="model server")
    right.plot(numbers, [row["own"] for row in rows], color="#c44e52", label="generator and benchmark")
    right.set(xlabel="adapter", ylabel="MiB resident", title="Memory", ylim=(0, None))
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.legend(frameon=False)
    IMAGE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGE, metadata={"Date": None})


def page(result: dict[str, Any], options: argparse.Namespace) -> str:
    rows, answers = result["rows"], result["answers"]
    seconds = sorted(row["seconds"] for row in rows)
    return TEXT.format(
        adapters=options.adapters, concurrent=options.concurrent, pause_s=options.pause_s,
        cores=psutil.cpu_count(), load=result["load"],
        asked=result["asked"], failed=result["asked"] - answers["right"] - answers["wrong"] + result["parked"],
        right=answers["right"], expected=answers["expected"], alike=answers["alike"], wrong=answers["wrong"],
        median=statistics.median(seconds),
        high=seconds[int(0.9 * (len(seconds) - 1))], longest=seconds[-1],
        rejected=sum(row["rejected"] for row in rows), resident=max(int(row["resident"]) for row in rows),
        first_memory=rows[2]["server"], last_memory=rows[-1]["server"],
        first_own=rows[2]["own"], last_own=rows[-1]["own"],
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapters", type=int, default=20)
    parser.add_argument("--concurrent", type=int, default=50)
    parser.add_argument("--pause-s", type=float, default=2.0, help="between an activation and the next adapter")
    options = parser.parse_args()
    logging.configure(level="ERROR", json=False)
    load = psutil.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(measure(options, Path(folder))) | {"load": load}
    draw(result["rows"])
    PAGE.write_text(page(result, options))
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
