"""Can clients hang the registry? A thousand follow its events, never read, and go, ten times over.

    python benchmarks/clients.py --clients 1000 --rounds 10

The registry is a process on the tests' MongoDB wire server; its bus is in memory. Another process asks for `/runs` all
the while. Prints the figures of docs/results/operations.md as JSON.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil

from tests.servers.mongo import mongo_server
from tests.servers.process import free_ports
from tests.stack.stack import get
from tests.support import without_settings

MIB = 2**20
RUN = {"cycles": 1, "candidates": 2, "protocol": "digits", "base_model": "tiny"}
FOLLOW = "GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@contextmanager
def registry(folder: Path, mongo_url: str, followers: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The process and its port, once it is ready."""
    (port,) = free_ports(1)
    settings = {"MONGO_URL": mongo_url, "PORT": port, "FOLLOWERS": followers, "LOG_LEVEL": "WARNING"}
    image = {"PYTHONMALLOC": "malloc"}  # as its image has it
    env = image | without_settings() | {f"ARCHLOOP_REGISTRY_{name}": str(value) for name, value in settings.items()}
    process = subprocess.Popen([sys.executable, "-m", "tests.servers.registry_alone", str(folder)], env=env)
    try:
        while get(f"http://127.0.0.1:{port}/readyz").status != httpx2.codes.OK:
            time.sleep(0.2)
        yield process, port
    finally:
        process.kill()
        process.wait()


async def probe(url: str, interval_s: float = 0.05) -> None:
    """Ask until standard input ends, then print the seconds that each answer took."""
    sys.stdout.write("begins\n")  # noqa: TID251 - numbers
    sys.stdout.flush()
    over = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    taken: list[float] = []
    async with httpx2.AsyncClient(timeout=60) as client:
        while not over.done():
            begun = time.monotonic()
            (await client.get(url)).raise_for_status()
            taken.append(time.monotonic() - begun)
            await asyncio.sleep(interval_s)
    sys.stdout.write(json.dumps(taken))  # noqa: TID251 - numbers


@contextmanager
def probing(url: str, into: list[float]) -> Iterator[None]:
    """Another process asks meanwhile."""
    command = [sys.executable, __file__, "--probe", url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        yield
        said, _ = other.communicate()
        into += json.loads(said)


async def come(port: int, count: int) -> list[asyncio.StreamWriter]:
    """So many followers, that never read."""

    async def one() -> asyncio.StreamWriter:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(FOLLOW.encode())
        return writer

    return list(await asyncio.gather(*(one() for _ in range(count))))


async def rounds(port: int, clients: int, count: int, stay_s: float) -> None:
    """They come, stay a while, and go without a word."""
    for _ in range(count):
        writers = await come(port, clients)
        await asyncio.sleep(stay_s)
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(1)


def figures(taken: Sequence[float]) -> dict[str, float]:
    """In milliseconds."""
    shares = statistics.quantiles(taken, n=20)
    return {
        "answers": len(taken),
        "p50": round(1000 * shares[9], 1),
        "p95": round(1000 * shares[18], 1),
        "longest": round(1000 * max(taken), 1),
    }


async def ended(process: subprocess.Popen[bytes], port: int, clients: int, stay_s: float) -> float:
    """Seconds from SIGTERM to the end, with everybody there."""
    writers = await come(port, clients)
    await asyncio.sleep(stay_s)
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(process.wait, 60)
    took = time.monotonic() - begun
    for writer in writers:
        writer.transport.abort()
    return round(took, 2)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mongo_server(Path(folder)) as mongo_url,
        registry(Path(folder), mongo_url, options.clients) as (process, port),
    ):
        url, held = f"http://127.0.0.1:{port}", psutil.Process(process.pid)
        for number in range(options.runs):
            run = {"run_id": f"run-{number}", "spec": RUN}
            httpx2.post(f"{url}/runs", json=run, timeout=60).raise_for_status()
        alone: list[float] = []
        with probing(f"{url}/runs", alone):
            time.sleep(5)
        before, beside = held.memory_info().rss, list[float]()
        with probing(f"{url}/runs", beside):
            asyncio.run(rounds(port, options.clients, options.rounds, options.stay))
        time.sleep(3)
        after = held.memory_info().rss
        health = [get(f"{url}/{probe}").status for probe in ("runs", "livez", "readyz")]
        return {
            "clients": options.clients,
            "rounds": options.rounds,
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
            "runs_ms_alone": figures(alone),
            "runs_ms_beside": figures(beside),
            "rss_mib": {"before": round(before / MIB, 1), "after": round(after / MIB, 1)},
            "runs_livez_readyz": health,
            "sigterm_s": asyncio.run(ended(process, port, options.clients, options.stay)),
            "exit": process.returncode,
        }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--stay", type=float, default=3.0, help="seconds that they stay")
    parser.add_argument("--runs", type=int, default=5, help="runs on record")
    parser.add_argument("--probe", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.probe:
        asyncio.run(probe(options.probe))
    else:
        sys.stdout.write(json.dumps(measure(options), indent=2) + "\n")  # noqa: TID251 - numbers


if __name__ == "__main__":
    main()
