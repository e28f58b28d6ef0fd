"""Our model server on CUDA: tokens a second at 1 and 64 requests, and adapters that go live under load."""

import argparse
import asyncio
import time
from functools import partial
from typing import Any

import httpx2

from benchmarks import hot_reload
from benchmarks.gpu.given import Figures, Given
from benchmarks.gpu.models import base_model
from services.generator.modelserver.process import spawned

_PROMPT = "Write a PyTorch network for images of 32 x 32 in 10 classes.\n" * 8
_SLOTS = 64


async def measure(given: Given) -> None:
    model = await asyncio.to_thread(base_model, given)
    for together in (1, given.few(4, 64)):
        await given.step(f"{together} together", partial(_pace, given, model, together))
    await given.step("adapters under load", partial(_adapters, given))


def _where(given: Given) -> dict[str, str]:
    """Return where the server computes, and in which numbers."""
    if given.dry:
        return {}
    return {"device": "cuda:0", "weights": "bfloat16", "gpu": given.gpu}


async def _pace(given: Given, model: str, together: int) -> Figures:
    """Take the tokens a second of so many requests at once."""
    length, rounds = given.few(8, 256), given.few(1, 3)
    parameters = {"max_new_tokens": length, "do_sample": True, "temperature": 1.0, "details": True}
    rates: list[float] = []
    async with (
        spawned(model, slots=_SLOTS, threads=2, log=given.folder / "log", **_where(given)) as url,  # type: ignore[arg-type]
        httpx2.AsyncClient(timeout=300) as http,
    ):
        await _generated(http, url, parameters, 0)
        for _ in range(rounds):
            began = time.monotonic()
            tokens = await asyncio.gather(*(_generated(http, url, parameters, seed + 1) for seed in range(together)))
            rates.append(sum(tokens) / (time.monotonic() - began))
    return {"tokens a second": rates, "tokens of each, at most": length}


async def _generated(http: httpx2.AsyncClient, url: str, parameters: dict[str, Any], seed: int) -> int:
    """Return how many tokens one request got."""
    answer = await http.post(f"{url}/generate", json={"inputs": _PROMPT, "parameters": {**parameters, "seed": seed}})
    answer.raise_for_status()
    return int(answer.json()["details"]["generated_tokens"])


async def _adapters(given: Given) -> Figures:
    """Publish adapters one after another while generations go on: `benchmarks/hot_reload.py`, on this device."""
    options = argparse.Namespace(adapters=given.few(2, 6), concurrent=given.few(4, 50), pause_s=given.few(0, 1))
    folder = given.folder / "hot"
    folder.mkdir()
    hot_reload.spawned = partial(spawned, **_where(given))  # type: ignore[attr-defined]
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
