"""What a run of 100,000 candidates costs those beside it, and how soon a registry that says it ends.

    python benchmarks/large_run.py --stops 5 --small 50

The broker, the database's protocol and the object store are real; generator, evaluator and novelty answer after a
set time without any work. Writes benchmarks/results/large_run.json, the figures of docs/results/operations.md.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from archloop.contracts.spec import RunSpec
from tests.chaos.registries import Registries, until
from tests.servers.mongo import mongo_server
from tests.servers.rabbitmq import rabbitmq_server
from tests.servers.s3 import seaweedfs
from tests.unit.registry.world import spec

RESULT = Path("benchmarks/results/large_run.json")


def one_cycle(candidates: int) -> RunSpec:
    """As the tests have it."""
    return spec(cycles=1, candidates=candidates, frozen=True)


async def small(registries: Registries, name: str, run_id: str, candidates: int) -> float:
    """Seconds from the request to the end."""
    began = time.monotonic()
    await registries.request(name, run_id, one_cycle(candidates))
    assert await registries.ended(name, run_id) == "completed"
    return time.monotonic() - began


async def stopped(registries: Registries, name: str) -> float:
    """Seconds from SIGTERM to the end."""
    began = time.monotonic()
    assert await asyncio.to_thread(registries.processes[name].end, 60) == 0
    return time.monotonic() - began


async def measured(registries: Registries, options: argparse.Namespace) -> dict[str, Any]:
    """The whole of it."""
    async with registries.others():
        await registries.start("r0")
        alone = await small(registries, "r0", "alone", options.small)
        began = time.monotonic()
        await registries.request("r0", "large", one_cycle(100_000))
        accepted = time.monotonic() - began
        await until(lambda: len(registries.generator.of("large")) >= 16)
        beside = await small(registries, "r0", "beside", options.small)
        stops = []
        for stop in range(options.stops):
            asked = len(registries.generator.of("large"))
            await until(lambda asked=asked: len(registries.generator.of("large")) > asked)
            await asyncio.sleep(stop * 0.7)
            stops.append(await stopped(registries, f"r{stop}"))
            await registries.start(f"r{stop + 1}")
        asked = registries.generator.of("large")
        livez = [await _livez(registries, f"r{options.stops}") for _ in range(20)]
        return {
            "accepted_s": accepted,
            "alone_s": alone,
            "beside_s": beside,
            "stops_s": stops,
            "asked": len(asked),
            "asked_twice": sum(count > 1 for count in asked.values()),
            "livez_worst_s": max(livez),
            "livez_median_s": statistics.median(livez),
        }


async def _livez(registries: Registries, name: str) -> float:
    began = time.monotonic()
    assert (await registries.read(name, "/livez")).status == 200
    await asyncio.sleep(0.2)
    return time.monotonic() - began - 0.2


def main() -> None:
    """Start the servers, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stops", type=int, default=5, help="SIGTERMs in the midst of the large run")
    parser.add_argument("--small", type=int, default=50, help="candidates of the run beside it")
    parser.add_argument("--seconds", type=float, default=0.2, help="that an evaluation takes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folders = [Path(temporary, name) for name in ("rabbitmq", "mongo", "s3", "registry")]
        for folder in folders:
            folder.mkdir()
        broker = stack.enter_context(rabbitmq_server(folders[0]))
        mongo_url = stack.enter_context(mongo_server(folders[1]))
        objects = stack.enter_context(seaweedfs(folders[2]))
        registries = Registries(folders[3], broker, mongo_url, objects.s3)
        registries.evaluator.seconds = options.seconds
        result = asyncio.run(measured(registries, options))
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
