"""Our model server on CUDA: tokens a second at 1 and 64 requests, and adapters that go live under load."""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx2

from benchmarks import hot_reload
from benchmarks.gpu.given import ROOT, Figures, Given, command
from benchmarks.gpu.models import base_model

_PROMPT = "Write a PyTorch network for images of 32 x 32 in 10 classes.\n" * 8
_MODULE = "services.generator.modelserver"
_START_S = 120.0


async def measure(given: Given) -> None:
    model = await asyncio.to_thread(base_model, given)
    flags = await _flags(given)
    given.note("server", flags=" ".join(flags) or "none: this server has no --device yet, so it is the CPU that serves")
    for together in (1, given.few(4, 64)):
        await given.step(f"{together} together", partial(_pace, given, model, flags, together))
    await given.step("adapters under load", partial(_adapters, given, flags))


async def _flags(given: Given) -> list[str]:
    """Return the options that put the server on the GPU; none where it knows none of them, and when dry."""
    known = await command("-m", _MODULE, "--help")
    wanted = {"--device": "cpu" if given.dry else "cuda:0", "--weights": "float32" if given.dry else "bfloat16"}
    return [part for name, value in wanted.items() if name in known for part in (name, value)]


async def _pace(given: Given, model: str, flags: list[str], together: int) -> Figures:
    """Take the tokens a second of so many requests at once, of which each gets as many tokens as it asks for."""
    length, rounds = given.few(8, 256), given.few(1, 3)
    body = {
        "inputs": _PROMPT,
        "parameters": {"max_new_tokens": length, "do_sample": True, "temperature": 1.0, "details": True},
    }
    rates: list[float] = []
    async with (
        _spawned(model, slots=64, threads=2, log=None, flags=flags) as url,
        httpx2.AsyncClient(timeout=300) as http,
    ):
        await _generated(http, url, body, 1)
        for _ in range(rounds):
            began = time.monotonic()
            tokens = await asyncio.gather(*(_generated(http, url, body, seed) for seed in range(1, together + 1)))
            rates.append(sum(tokens) / (time.monotonic() - began))
    return {"tokens a second": rates, "tokens of each": length}


async def _generated(http: httpx2.AsyncClient, url: str, body: dict[str, object], seed: int) -> int:
    """Return how many tokens one request got."""
    asked = {**body, "parameters": {**body["parameters"], "seed": seed}}  # type: ignore[dict-item]
    answer = await http.post(f"{url}/generate", json=asked)
    answer.raise_for_status()
    return int(answer.json()["details"]["generated_tokens"])


async def _adapters(given: Given, flags: list[str]) -> Figures:
    """Publish adapters one after another while generations go on: `benchmarks/hot_reload.py`, on this device."""
    options = argparse.Namespace(adapters=given.few(2, 6), concurrent=given.few(4, 50), pause_s=given.few(0, 1))
    folder = given.folder / "hot"
    folder.mkdir()
    hot_reload.spawned = partial(_spawned, flags=flags)  # type: ignore[attr-defined]
    told = await hot_reload.measure(options, folder)
    rows = told["rows"]
    return {
        "asked": told["asked"],
        "parked": told["parked"],
        "rejected": sum(row["rejected"] for row in rows),
        "seconds until active": [row["seconds"] for row in rows],
        "in the server at once, at most": max(int(row["resident"]) for row in rows),
        "MiB after the first and the last": [rows[0]["server"], rows[-1]["server"]],
        "answers": told["answers"],
    }


@asynccontextmanager
async def _spawned(model: str, *, slots: int, threads: int, log: Path | None, flags: list[str]) -> AsyncIterator[str]:
    """Start a server with these flags and yield its URL once it is healthy."""
    where = ("--model", model, "--port", "0", "--slots", str(slots), "--threads", str(threads))
    with (log or Path(os.devnull)).open("ab") as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", _MODULE, *where, "--parent", str(os.getpid()), *flags,
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=sink,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{(await process.stdout.readline()).decode().strip()}"
        async with asyncio.timeout(_START_S), httpx2.AsyncClient() as http:
            while not await _healthy(http, url):
                if process.returncode is not None:
                    raise RuntimeError(f"the model server ended with status {process.returncode}")
                await asyncio.sleep(0.1)
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _healthy(http: httpx2.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(f"{url}/health")).status_code == 200
    except httpx2.HTTPError:
        return False
