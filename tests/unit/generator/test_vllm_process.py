"""How vLLM is started and ends, with a program in its place that records what it is given and answers its routes."""

import json
import os
import secrets
import signal
import sys
from pathlib import Path

import psutil
import pytest

from archloop.errors import InvalidInput, Unavailable
from services.generator.backends.child_process import installed
from services.generator.backends.port import Decoding, ServedModel
from services.generator.backends.vllm import VllmBackend
from services.generator.backends.vllm_process import RANKS, VllmProcess

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.timeout(120)

FAKE = """#!{python}
import json, os, sys
with open({told!r}, "w") as file:
    json.dump({{"argv": sys.argv[1:], "env": dict(os.environ), "pid": os.getpid()}}, file)
{body}
sys.path.insert(0, {root!r})
from tests.servers import vllm_double
value = dict(zip(sys.argv, sys.argv[1:]))
vllm_double.main(["--model", value["--served-model-name"], "--host", value["--host"], "--port", value["--port"],
                  "--enable-lora"])
"""


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a `vllm`; return what it was told, which is there once it has begun."""

    def install(body: str = "") -> Path:
        program, told = tmp_path / "bin" / "vllm", tmp_path / "told.json"
        program.parent.mkdir(exist_ok=True)
        program.write_text(FAKE.format(python=sys.executable, told=str(told), root=str(ROOT), body=body))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return told

    return install


def process(folder: Path, **other) -> VllmProcess:
    usual = {
        "model": "/models/base",
        "served_as": "org/base",
        "gpu": "GPU-1234",
        "fraction": 0.75,
        "rank": 32,
        "max_tokens": 4096,
        "log": folder / "log",
        "start_s": 60.0,
    }
    return VllmProcess(**usual | other)


async def test_it_serves_to_us_alone_with_adapters_loaded_while_it_runs(vllm, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ARCHLOOP_CLI_TOKEN", "a secret of ours")
    told, key = vllm(), secrets.token_urlsafe(32)
    async with process(tmp_path).running(key) as url:
        backend = VllmBackend(url, ServedModel("org/base", "0" * 64), "org/base", token=key)
        folder = tmp_path / "adapter"
        folder.mkdir()
        (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
        (folder / "adapter_model.safetensors").write_text("weights")
        assert (await backend.base()).name == "org/base"
        await backend.load("a-v1", folder)
        assert await backend.adapters() == {"a-v1"}
        assert (await backend.generate("class Net:", Decoding(8), 1, "a-v1")).text
        await backend.close()
    given = json.loads(told.read_text())
    value, env = dict(zip(given["argv"], given["argv"][1:], strict=False)), given["env"]
    assert given["argv"][:2] == ["serve", "/models/base"]
    assert {"--enable-lora", "--enable-prefix-caching"} <= set(given["argv"])
    assert (value["--host"], value["--max-lora-rank"], value["--gpu-memory-utilization"]) == (
        "127.0.0.1",
        "32",
        "0.750",
    )
    assert (value["--port"], int(value["--max-loras"]) >= 2) == (url.rpartition(":")[2], True)
    assert (env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"], env["CUDA_VISIBLE_DEVICES"]) == ("1", "GPU-1234")
    assert env["VLLM_API_KEY"] == key
    assert key not in " ".join(given["argv"]), "arguments can be read by every user of the machine"
    assert not [name for name in env if name.startswith("ARCHLOOP_")]
    assert not psutil.pid_exists(given["pid"])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("sys.exit(3)", "status 3"),
        ("sys.exit('CUDA out of memory')", "CUDA out of memory"),
        ("print('no such model', flush=True); sys.exit(1)", "no such model"),
        ("os.kill(os.getpid(), 9)", "status -9"),
        ("raise RuntimeError('\\x1b[31mred')", "red"),
    ],
)
async def test_a_start_that_fails_may_be_tried_again_and_says_the_last_line(vllm, tmp_path, body, words) -> None:
    vllm(body)
    with pytest.raises(Unavailable) as failed:
        async with process(tmp_path).running("key"):
            pytest.fail("it cannot run")
    assert words in str(failed.value)
    assert "\x1b" not in str(failed.value)


async def test_one_that_never_answers_is_ended(vllm, tmp_path) -> None:
    told = vllm("import time; time.sleep(600)")
    with pytest.raises(Unavailable, match="does not answer"):
        async with process(tmp_path, start_s=1.5).running("key"):
            pytest.fail("it cannot run")
    assert not psutil.pid_exists(json.loads(told.read_text())["pid"])


async def test_what_it_leaves_behind_ends_with_it(vllm, tmp_path) -> None:
    kept = tmp_path / "child"
    told = vllm(f"import subprocess; open({str(kept)!r}, 'w').write(str(subprocess.Popen(['sleep', '600']).pid))")
    async with process(tmp_path).running("key"):
        child = psutil.Process(int(kept.read_text()))
        os.kill(json.loads(told.read_text())["pid"], signal.SIGKILL)
        assert child.is_running()
    psutil.wait_procs([child], timeout=20)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(("wanted", "told"), [(1, 1), (2, 8), (8, 8), (9, 16), (32, 32), (33, 64), (512, 512)])
def test_the_rank_is_one_that_vllm_takes(tmp_path, wanted: int, told: int) -> None:
    command = process(tmp_path, rank=wanted).command(8000)
    assert command[command.index("--max-lora-rank") + 1] == str(told)
    assert told in RANKS


@pytest.mark.parametrize("place", ["path", "beside", "both", "nowhere", "no program"])
def test_it_is_found_on_the_path_and_beside_the_interpreter(tmp_path, monkeypatch, place: str) -> None:
    for folder in ("path", "beside"):
        (tmp_path / folder).mkdir()
        if place in (folder, "both", "no program"):
            (tmp_path / folder / "vllm").write_text("#!/bin/sh\n")
            (tmp_path / folder / "vllm").chmod(0o755 if place != "no program" else 0o644)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "beside" / "python"))
    found = {"both": tmp_path / "path" / "vllm"}.get(place, tmp_path / place / "vllm")
    there = place in ("path", "beside", "both")
    assert installed("vllm") == (str(found) if there else None)
    assert process(tmp_path).command(8000)[0] == (str(found) if there else "vllm")


def test_a_rank_beyond_all_is_refused(tmp_path) -> None:
    with pytest.raises(InvalidInput, match=r"training\.r"):
        process(tmp_path, rank=513).command(8000)
