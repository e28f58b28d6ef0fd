"""Over HTTP as in the engine: what a request is answered does not depend on what else is being asked."""

import asyncio
import random

import httpx2
import pytest

from services.generator.backends.cpu import CpuBackend
from services.generator.backends.port import Decoding

pytestmark = pytest.mark.timeout(240)  # the first test starts the server

PARAMETERS = {"max_new_tokens": 60, "temperature": 0.9, "top_p": 0.98, "seed": 42, "details": True}


async def ask(http, inputs, **parameters):
    response = await http.post("/generate", json={"inputs": inputs, "parameters": PARAMETERS | parameters})
    assert response.status_code == 200
    return response.json()


async def test_the_same_request_alone_and_among_many_others(model_server):
    words = random.Random(0)
    async with httpx2.AsyncClient(base_url=model_server, timeout=60) as http:
        alone = await ask(http, "class Net:")
        others = [
            asyncio.create_task(
                ask(http, "x" * words.randrange(1, 90), seed=seed, max_new_tokens=words.randrange(1, 100))
            )
            for seed in range(40)
        ]
        crowded = await asyncio.gather(*(ask(http, "class Net:") for _ in range(5)))
        await asyncio.gather(*others)
    assert all(answer == alone for answer in crowded)


async def test_adapters_are_generated_side_by_side_and_never_mixed(model_server, adapter_folders):
    backend = CpuBackend(model_server, timeout_s=60)
    names = ["side-v0", "side-v1"]
    try:
        for name, folder in zip(names, adapter_folders, strict=False):
            await backend.load(name, folder)
        assert await backend.adapters() == set(names)
        greedy = Decoding(40)
        alone = [await backend.generate("class Net:", greedy, None, name) for name in (None, *names)]
        mixed = await asyncio.gather(
            *(backend.generate("class Net:", greedy, None, name) for _ in range(8) for name in (None, *names))
        )
        assert len({answer.text for answer in alone}) == 3
        assert [(a.adapter, a.text, a.logprob) for a in mixed] == [(a.adapter, a.text, a.logprob) for a in alone] * 8
    finally:
        for name in names:
            await backend.unload(name)
        await backend.close()
