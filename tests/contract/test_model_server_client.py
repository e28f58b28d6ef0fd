"""The generator's client against the real CPU server."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from archloop.errors import InvalidInput
from services.generator.backends.cpu import CpuBackend
from services.generator.backends.port import Decoding
from services.generator.errors import AdapterMissing
from tests.servers.process import free_ports, started
from tests.support import shell_of

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(240)  # the first test starts the server


@pytest.fixture
async def backend(model_server):
    backend = CpuBackend(model_server, timeout_s=60)
    yield backend
    await backend.close()


async def test_it_says_what_it_serves(backend, base_model):
    assert await backend.ready()
    served = await backend.base()
    assert served.name == str(base_model)
    assert len(served.sha256) == 64
    assert await backend.adapters() == frozenset()


async def test_an_answer_comes_with_its_cost(backend):
    answer = await backend.generate("class Net:", Decoding(9, temperature=0.9, top_p=0.9, top_k=50), 3, None)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 9)
    assert answer.usage.seconds > 0
    assert answer.logprob < 0


async def test_an_adapter_that_the_server_does_not_have_is_missing(backend):
    with pytest.raises(AdapterMissing, match="code-v9"):
        await backend.generate("x", Decoding(5), 1, "code-v9")


async def test_a_prompt_that_is_too_long_is_invalid_for_good(backend):
    with pytest.raises(InvalidInput, match="256"):
        await backend.generate("x" * 300, Decoding(5), 1, None)


async def test_a_broken_adapter_is_invalid_and_an_unknown_one_unloads(backend, tmp_path):
    with pytest.raises(InvalidInput, match="adapter_model"):
        await backend.load("code-v9", tmp_path)
    await backend.unload("code-v9")


async def test_an_adapter_is_served_between_load_and_unload(backend, adapter_folders):
    await backend.load("code-v8", adapter_folders[0])
    assert await backend.adapters() == {"code-v8"}
    tuned = await backend.generate("class Net:", Decoding(20), None, "code-v8")
    await backend.unload("code-v8")
    assert await backend.adapters() == frozenset()
    assert tuned.text != (await backend.generate("class Net:", Decoding(20), None, None)).text


async def test_the_how_to_s_command_starts_one(tmp_path):
    shell, (port,) = shell_of(ROOT / "docs/how-to/model-servers.md"), free_ports(1)
    shell[-1] = "exec " + shell[-1].replace("python", sys.executable, 1).replace("8080", str(port))
    backend = CpuBackend(f"http://127.0.0.1:{port}")
    with started(shell, tmp_path / "log") as process:
        while not await backend.ready():
            with suppress(subprocess.TimeoutExpired):
                raise AssertionError(process.wait(0.1))
        assert (await backend.base()).name == "tiny"
    await backend.close()
