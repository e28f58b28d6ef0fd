"""How far do more evaluators make it faster? The real broker and consume loop, evaluation slept; then the limit beyond.

    python benchmarks/scale.py --sleep-s 2 --each 12

Measured: 1 to 64 evaluators, each a consumer with connections of its own, spread over processes; then, without sleep,
what the broker passes on, what the registry records and what the novelty service judges in a second. From these the
limit is reckoned for evaluations that take longer. Writes benchmarks/results/scale.json, docs/images/scale.svg and
docs/results/scale.md.
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

from archloop.blobs.directory import DirectoryBlobs
from archloop.bus.amqp import AmqpBus
from archloop.bus.consumer import Consumer
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import CandidateEvaluatedFailed, CandidateGenerated, RunRequested
from archloop.contracts.spec import RunSpec
from archloop.contracts.topology import EVALUATOR, REGISTRY, Queue
from archloop.contracts.values import Evaluation, Family, Outcome, SourceCode
from services.generator import seeds
from services.generator.prompts import draw_brief
from services.registry.control.controller import Controller, Patience
from services.registry.handlers import RegistryHandler
from services.registry.stores.sqlite import SqliteStore
from tests.servers.rabbitmq import rabbitmq_server

RESULT, IMAGE, PAGE = (
    Path("benchmarks/results/scale.json"),
    Path("docs/images/scale.svg"),
    Path("docs/results/scale.md"),
)
COUNTS = (1, 2, 4, 8, 16, 32, 64)
PROCESSES = 4
EVENTS = 4  # of one candidate: asked for, generated, evaluated, judged
REAL_S = 60.0  # of an evaluation on a GPU, for the limit
ANSWERS = Queue("scale-answers", ("candidate.evaluated.*",), prefetch=200)


class Sleeper:
    """An evaluator that sleeps instead."""

    def __init__(self, sleep_s: float) -> None:
        self._sleep_s = sleep_s

    async def handle(self, message: CandidateGenerated) -> Sequence[CandidateEvaluatedFailed]:
        """What an evaluator says of a network that is below chance."""
        await asyncio.sleep(self._sleep_s)
        return [evaluated(message)]


def evaluated(message: CandidateGenerated) -> CandidateEvaluatedFailed:
    """The answer to a candidate."""
    place = message.model_dump(include={"run_id", "cycle", "index"})
    evaluation = Evaluation(
        outcome=Outcome.BELOW_CHANCE,
        stage="predict",
        protocol="shapes",
        protocol_sha256="a" * 64,
        code_sha256=message.code.sha256,
        sandbox_level="namespaces",
    )
    return CandidateEvaluatedFailed(**place, code=message.code, evaluation=evaluation)


def candidate(run_id: str, index: int, code: str) -> CandidateGenerated:
    """As the generator says it, with a prompt and code of the usual length."""
    return CandidateGenerated(
        run_id=run_id, index=index, code=SourceCode.inline(f"{code}# {index}\n"), prompt="p" * 400, protocol="shapes"
    )


def evaluators(url: str, count: int, sleep_s: float) -> None:
    """So many of them in this process, until it is ended."""

    async def consume() -> None:
        for number in range(count):
            bus = AmqpBus(url, f"evaluator {number}")
            await Consumer(bus, EVALUATOR, Sleeper(sleep_s), "evaluator").start()
        await asyncio.Event().wait()

    asyncio.run(consume())


async def drained(bus: AmqpBus, wanted: int) -> list[float]:
    """The times at which so many answers came."""
    times: list[float] = []
    done = asyncio.Event()

    async def heard(delivery: Any) -> None:
        times.append(time.monotonic())
        await delivery.ack()
        if len(times) >= wanted:
            done.set()

    subscription = await bus.subscribe(ANSWERS, heard)
    await done.wait()
    await subscription.drain()
    return times


async def measured(url: str, count: int, sleep_s: float, each: int) -> dict[str, float]:
    """So many evaluators on `each` candidates apiece: seconds from the first answer to the last, and the ideal."""
    bus = AmqpBus(url, "scale")
    await bus.connect()
    await bus.declare(ANSWERS)
    code, run_id = network(random.Random(0)), f"scale-{count}-{time.time_ns()}"
    shares = [len(range(place, count, PROCESSES)) for place in range(min(PROCESSES, count))]
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=evaluators, args=(url, share, sleep_s), daemon=True) for share in shares]
    for worker in workers:
        worker.start()
    await asyncio.sleep(6 + count / 10)  # until each of them consumes
    wanted = count * each
    listening = asyncio.create_task(drained(bus, wanted))
    started = time.monotonic()
    for index in range(wanted):
        await bus.publish(Envelope.of(candidate(run_id, index, code), source="scale"))
    published = time.monotonic() - started
    times = await listening
    for worker in workers:
        worker.terminate()
        worker.join()
    await bus.close()
    took = times[-1] - started
    return {"evaluators": count, "seconds": took, "ideal": each * sleep_s, "publishing": published}


async def broker_rate(url: str, messages: int) -> float:
    """Candidates that evaluators which do not sleep pass on in a second, two of them in two processes."""
    found = await measured(url, 2, 0.0, messages // 2)
    return messages / found["seconds"]


async def registry_rate(url: str, folder: Path, candidates: int) -> float:
    """Events that the registry takes from its full queue and records on SQLite in a second."""
    store, blobs = SqliteStore(folder / "registry.sqlite"), DirectoryBlobs(folder / "blobs")
    bus = AmqpBus(url, "registry")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        stack.push_async_callback(bus.close)
        await bus.connect()
        handler = RegistryHandler(store, Controller(store, blobs, Patience(1e6, 1e6, 1e6, 3)))
        spec = RunSpec(cycles=1, candidates=candidates + 1, protocol="shapes")
        await handler.handle(RunRequested(run_id="scale", spec=spec))
        code = network(random.Random(0))
        for index in range(candidates):
            generated = candidate("scale", index, code)
            for message in (generated, evaluated(generated)):
                await bus.publish(Envelope.of(message, source="scale"))
        waiting = await bus.depth(REGISTRY)
        subscription = await Consumer(bus, REGISTRY, handler, "registry").start()
        started = time.monotonic()
        while await bus.depth(REGISTRY):
            await asyncio.sleep(0.2)
        rate = waiting / (time.monotonic() - started)
        await subscription.drain()
        return rate


def novelty_rate(count: int) -> float:
    """Networks that the novelty service describes, judges and keeps in a second, with so many judged before."""
    from services.novelty.entries import Entry, ListedEntries
    from services.novelty.features import features
    from services.novelty.index import NoveltyIndex
    from services.novelty.judge import check_and_insert
    from services.novelty.settings import NoveltySettings

    settings = NoveltySettings()
    entries = ListedEntries()
    index = NoveltyIndex(entries, settings.permutations)
    seconds = []
    for number in range(count):
        started = time.process_time()
        described = features(
            network(random.Random(number)), k=settings.k, permutations=settings.permutations, sizes=settings.sizes
        )
        entry = Entry(str(number), "run", *described[:3])
        check_and_insert(index, entry, threshold=0.85, run_id=None)
        entries.append(entry)
        seconds.append(time.process_time() - started)
    return 1 / statistics.fmean(seconds[-100:])


def network(rng: random.Random) -> str:
    """A network as the demo's LLM has learnt to write it."""
    return seeds.write(rng, rng.choice(list(Family)), draw_brief(rng)).code


async def all_of_it(sleep_s: float, each: int, counts: Sequence[int]) -> dict[str, Any]:
    """One broker for all."""
    with tempfile.TemporaryDirectory() as scratch, rabbitmq_server(Path(scratch)) as broker:
        rows = []
        for count in counts:
            rows.append(await measured(broker.url, count, sleep_s, each))
            print(json.dumps(rows[-1]), flush=True)
        rates = {
            "broker": await broker_rate(broker.url, 2000),
            "registry_events": await registry_rate(broker.url, Path(scratch), 1500),
            "novelty": novelty_rate(1000),
        }
    return {"when": datetime.now(UTC).isoformat()[:10], "sleep_s": sleep_s, "each": each, "rows": rows, "rates": rates}


def limits(rates: dict[str, float]) -> dict[str, float]:
    """Evaluators that keep each part busy, at REAL_S an evaluation."""
    per_second = {
        "registry": rates["registry_events"] / EVENTS,
        "novelty": rates["novelty"],
        "broker": rates["broker"],
    }
    return {name: rate * REAL_S for name, rate in per_second.items()}


def draw(found: dict[str, Any]) -> None:
    """Speed-up over evaluators."""
    counts = [row["evaluators"] for row in found["rows"]]
    speed = [row["evaluators"] * row["ideal"] / row["seconds"] for row in found["rows"]]
    figure, axes = plt.subplots(figsize=(6.2, 3.6), layout="constrained")
    axes.plot(counts, counts, color="#8b929d", linewidth=1, label="linear")
    axes.plot(counts, speed, "o-", color="#2f66c8", label="measured")
    axes.set(xscale="log", yscale="log", xlabel="evaluators", ylabel="candidates at a time")
    axes.set_xticks(counts, map(str, counts))
    axes.set_yticks(counts, map(str, counts))
    axes.minorticks_off()
    axes.legend(frameon=False)
    figure.savefig(IMAGE)


def page(found: dict[str, Any]) -> str:
    """The figures in words."""
    rows = [
        f"| {row['evaluators']} | {row['seconds']:.1f} | {row['ideal']:.1f} | {row['ideal'] / row['seconds']:.0%} |"
        for row in found["rows"]
    ]
    rates, reach = found["rates"], limits(found["rates"])
    worst = min(row["ideal"] / row["seconds"] for row in found["rows"])
    return f"""# More evaluators

`python benchmarks/scale.py --sleep-s {found["sleep_s"]:g} --each {found["each"]}` ({found["when"]}): RabbitMQ, the
consume loop and the messages are real, the evaluation is slept ({found["sleep_s"]:g} s). Every evaluator is a consumer
with its own connections, {found["each"]} candidates for each, spread over at most {PROCESSES} processes on two cores
that also hold the broker. Time is from the first publication to the last answer.

| evaluators | seconds | without any loss | of linear |
|---|---|---|---|
{chr(10).join(rows)}

![Candidates at a time over evaluators](../images/scale.svg)

The worst is {100 * worst:.0f} % of linear.

## The limit beyond, reckoned

Without sleep (novelty: CPU time without the queue; the others: wall time with it, the broker on the same two cores),
and the evaluators of {REAL_S:.0f} s an evaluation that each part bears:

| part | in a second | evaluators |
|---|---|---|
| broker and consume loop, two consumers | {rates["broker"]:.0f} candidates | more than {reach["broker"]:,.0f} |
| registry, queue to SQLite | {rates["registry_events"]:.0f} events, {EVENTS} each | {reach["registry"]:,.0f} |
| novelty, 1,000 known | {rates["novelty"]:.0f} networks | {reach["novelty"]:,.0f}, were all valid |

Assumed: an evaluation of {REAL_S:.0f} s (a network of LEMUR takes 42 s on CIFAR-10 at 256 pixels in the median), a
candidate every {REAL_S:.0f} s from each evaluator, {EVENTS} events each. Not in it: MongoDB, which takes longer for an
event than SQLite; a network between machines; the model server, which has to write as fast; connections, of which each
evaluator holds two: beyond some thousand evaluators RabbitMQ's memory is the next thing to look at.
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sleep-s", type=float, default=2.0)
    parser.add_argument("--each", type=int, default=12)
    parser.add_argument("--counts", type=int, nargs="*", default=COUNTS)
    options = parser.parse_args()
    result = asyncio.run(all_of_it(options.sleep_s, options.each, options.counts))
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    draw(result)
    PAGE.write_text(page(result))
