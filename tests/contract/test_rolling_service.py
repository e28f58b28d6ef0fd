"""What surrounds a roll: commands, settings, the how-to, and adapters from published to active."""

import asyncio
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from archloop.blobs.directory import DirectoryBlobs
from archloop.errors import InvalidInput, Misconfigured, Unavailable
from services.generator.adapter_files import AdapterFiles
from services.generator.adapters import AdapterManager
from services.generator.app import backend_of
from services.generator.backends.tgi_launcher import rendered
from services.generator.errors import AdapterUnusable
from services.generator.settings import GeneratorSettings
from tests.servers.double_model import probe_of
from tests.servers.rolls import COMMAND, DOUBLE, GREEDY, ROOT
from tests.unit.generator.fakes import BASE, TENSORS, Publisher

pytestmark = pytest.mark.timeout(180)


async def test_a_command_that_is_not_there_says_so(rolls):
    world = rolls(command="no-such-launcher --port {port}")
    for call in (world.backend.base(), world.ask(None), world.backend.adapters()):
        with pytest.raises(Unavailable, match="does not start"):
            await call


def test_what_tgi_would_read_otherwise_is_refused():
    assert rendered({"code-v1": Path("/a"), "code-v0": Path("/b")}) == "code-v1=/a,code-v0=/b"
    for name, path in (("a=b", "/a"), ("a", "/a,b"), ("a", "/a@2")):
        with pytest.raises(InvalidInput, match="without any of"):
            rendered({name: Path(path)})


PARENT = """
import asyncio, sys
from services.generator.backends.tgi_launcher import ProcessLauncher

async def main():
    running = await ProcessLauncher(sys.argv[1], 5).start({})
    print("pid", running.process.pid, flush=True)
    await running.process.wait()

asyncio.run(main())
"""


def test_it_ends_with_a_parent_that_is_killed(tmp_path):
    command = [sys.executable, "-c", PARENT, COMMAND]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    pid = next(int(line.split()[1]) for line in parent.stdout if line.startswith(b"pid"))
    while "tgi_double" not in " ".join(psutil.Process(pid).cmdline()):
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=20)
    assert not alive


@pytest.mark.parametrize("overlap", [True, False])
async def test_adapters_go_from_published_to_active_one_roll_each_and_a_false_one_is_rejected(tmp_path, overlap):
    blobs = DirectoryBlobs(tmp_path / "blobs")
    publisher = Publisher(blobs, tmp_path)
    settings = GeneratorSettings(
        backend="tgi",
        base_model=BASE.name,
        served_as="org/tiny",
        tgi_launcher="process",
        tgi_command=COMMAND,
        tgi_log=tmp_path / "log",
        tgi_overlap=overlap,
    )
    backend = backend_of(settings)
    base = await backend.base()
    manager = AdapterManager(backend, AdapterFiles(blobs, tmp_path / "cache"), max_bytes=100_000)

    async def published(number, proof=None):
        tensors = {name: tensor * (number + 1) for name, tensor in TENSORS.items()}
        probe = probe_of(publisher._weights(tensors) if proof is None else proof)
        return await publisher.publish(f"code-v{number}", tensors=tensors, base_sha256=base.sha256, probe=probe)

    try:
        refs = [await published(number) for number in (0, 1)]
        for ref in refs:
            await manager.ensure(ref)
        assert manager.active == ["code-v0", "code-v1"]
        with pytest.raises(AdapterUnusable, match="not the trainer's"):
            await manager.ensure(await published(2, proof=b"other weights"))
        await until_served(manager)
        assert manager.active == ["code-v1"], "room was made for the third"
        async with manager.pinned(refs[1]) as name:
            tuned = await backend.generate("class Net:", GREEDY, None, name)
        assert tuned.text != (await backend.generate("class Net:", GREEDY, None, None)).text
        await manager.ensure(await published(3))
        assert manager.active == ["code-v1", "code-v3"]
    finally:
        manager.close()
        await backend.close()


async def until_served(manager) -> None:
    while True:
        with suppress(Unavailable):
            return await manager.ping()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tgi_launcher": "process", "tgi_command": COMMAND},
        {"backend": "tgi", "tgi_launcher": "process", "tgi_command": "text-generation-launcher"},
        {"backend": "tgi", "tgi_launcher": "kubernetes"},
        {"backend": "tgi", "tgi_launcher": "process", "tgi_command": COMMAND, "every_address": True},
    ],
)
def test_settings_that_do_not_go_together_are_refused(wrong):
    with pytest.raises(Misconfigured, match="launcher"):
        GeneratorSettings.load(**wrong)


def settings_of_the_page() -> list[dict[str, str]]:
    page = (ROOT / "docs/how-to/model-servers.md").read_text()
    blocks = re.findall(r"^```ini\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [dict(line.split("=", 1) for line in block.splitlines()) for block in blocks]


@pytest.mark.parametrize("number", range(len(settings_of_the_page())))
def test_the_how_to_s_settings_are_settings(number, monkeypatch):
    given = settings_of_the_page()[number]
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = GeneratorSettings.load()
    backend_of(settings)
    known = {settings.variable(name) for name in type(settings).model_fields}
    assert given.keys() <= known


async def test_the_how_to_s_command_rolls(rolls):
    (command,) = (each[name] for each in settings_of_the_page() for name in each if name.endswith("TGI_COMMAND"))
    world = rolls(command=command.replace("text-generation-launcher", DOUBLE).replace("/models/base", "org/tiny"))
    await world.bring_up("code-v0")
    await world.answers(None, "code-v0")
