"""Rolling from one TGI to the next with real processes, the double of TGI as the command."""

import asyncio
import os
import re
import signal
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
from services.generator.backends.launching import ProcessLauncher, rendered
from services.generator.backends.port import Decoding, ServedModel
from services.generator.backends.rolling import Rolling, Times
from services.generator.backends.tgi import TgiBackend
from services.generator.errors import AdapterMissing, AdapterUnusable
from services.generator.settings import GeneratorSettings
from tests.servers.double_model import answer, fingerprint, probe_of
from tests.unit.generator.fakes import BASE, TENSORS, Publisher

pytestmark = pytest.mark.timeout(180)

ROOT = Path(__file__).parents[2]
DOUBLE = f"env PYTHONPATH={ROOT} {sys.executable} -m tests.servers.tgi_double"
COMMAND = f"{DOUBLE} --model-id org/tiny --hostname 127.0.0.1 --port {{port}} --token-s 0.01"
GREEDY = Decoding(9)
SERVED = ServedModel("tiny", "0" * 64)


class Rolls:
    """A rolling backend, and the process ids of all servers that it has started."""

    def __init__(self, folder, command=COMMAND, *, overlap=True, stop_s=20.0, drain_s=20.0, start_s=60.0) -> None:
        self.folder, self.pids, self.log = folder, [], folder / "log"
        self._launcher = ProcessLauncher(command, stop_s, self.log)
        self.backend = Rolling(self, self.connect, Times(start_s, drain_s), overlap=overlap)

    async def start(self, adapters):
        running = await self._launcher.start(adapters)
        self.pids.append(running.process.pid)
        return running

    def connect(self, url, adapters):
        return TgiBackend(url, SERVED, "org/tiny", loaded=adapters, timeout_s=20)

    def adapter(self, name) -> Path:
        folder = self.folder / name
        folder.mkdir()
        (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
        (folder / "adapter_model.safetensors").write_text(f"weights of {name}")
        return folder

    async def bring_up(self, name) -> None:
        await self.backend.load(name, self.adapter(name))
        await self.backend.adopt(name)

    async def ask(self, adapter, prompt="class Net:") -> str:
        return (await self.backend.generate(prompt, GREEDY, None, adapter)).text

    def expected(self, adapter, prompt="class Net:") -> str:
        used = fingerprint(self.folder / adapter) if adapter else None
        return answer(prompt, used, None, GREEDY.max_new_tokens).text

    async def answers(self, *adapters) -> None:
        for adapter in adapters:
            assert await self.ask(adapter) == self.expected(adapter)

    def alive(self) -> list[int]:
        return [pid for pid in self.pids if running(pid)]


def running(pid) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.02)


async def refusal(world) -> Unavailable:
    """Ask until one is refused."""
    while True:
        try:
            await world.ask("code-v0")
        except Unavailable as failure:
            return failure


@pytest.fixture
async def rolls(tmp_path):
    made = []

    def make(**options):
        made.append(Rolls(tmp_path, **options))
        return made[-1]

    yield make
    for each in made:
        await each.backend.close()
        assert not each.alive(), "nothing is left running"


async def test_five_rolls_under_requests_fail_none_and_each_is_answered_by_what_it_asked_for(rolls):
    world, serving, counts = rolls(), [None], {}
    await world.backend.base()
    rolling = True

    async def requests(number):
        while rolling:
            adapter = serving[number % len(serving)]
            prompt = f"class Net{number}:"
            assert await world.ask(adapter, prompt) == world.expected(adapter, prompt)
            counts[adapter] = counts.get(adapter, 0) + 1

    workers = [asyncio.create_task(requests(number)) for number in range(8)]
    for roll in range(5):
        name = f"code-v{roll}"
        await world.bring_up(name)
        serving = [None, *[each for each in serving if each][-1:], name]
        for old in set(await world.backend.adapters()) - set(serving):
            await world.backend.unload(old)
        before = counts.get(name, 0)
        await until(
            lambda name=name, before=before: counts.get(name, 0) > before + 20 or any(w.done() for w in workers)
        )
    rolling = False
    await asyncio.gather(*workers)
    sys.stderr.write(f"{sum(counts.values())} answers over 5 rolls, 0 failed: {counts}\n")
    assert len(world.pids) == 6
    await until(lambda: len(world.alive()) == 1)
    assert await world.backend.adapters() == {"code-v3", "code-v4"}


async def test_a_new_adapter_is_asked_at_the_new_server_and_all_else_at_the_old_until_it_is_adopted(rolls):
    world = rolls()
    await world.bring_up("code-v0")
    await until(lambda: len(world.alive()) == 1)
    old = world.pids[-1]
    await world.backend.load("code-v1", world.adapter("code-v1"))
    await world.answers(None, "code-v0", "code-v1")
    os.kill(world.pids[-1], signal.SIGSTOP)
    await world.answers(None, "code-v0")
    os.kill(world.pids[-1], signal.SIGCONT)
    await world.backend.unload("code-v1")
    assert world.alive() == [old]
    await world.answers(None, "code-v0")
    with pytest.raises(AdapterMissing):
        await world.ask("code-v1")


async def test_a_server_that_does_not_start_leaves_the_old_one_alone(rolls, tmp_path):
    world = rolls()
    await world.bring_up("code-v0")
    (tmp_path / "broken").mkdir()
    with pytest.raises(Unavailable, match=r"broken.*has ended with status 1"):
        await world.backend.load("broken", tmp_path / "broken")
    await world.answers(None, "code-v0")
    assert "holds no LoRA adapter" in world.log.read_text()
    assert await world.backend.adapters() == {"code-v0"}


async def test_a_server_that_is_killed_is_started_again_with_what_it_had(rolls):
    world = rolls()
    await world.bring_up("code-v0")
    await until(lambda: len(world.alive()) == 1)
    os.kill(world.pids[-1], signal.SIGKILL)
    await refusal(world)
    while not await world.backend.ready():
        await asyncio.sleep(0.02)
    await world.answers(None, "code-v0")
    assert len(world.pids) == 3


async def test_without_overlap_there_is_one_server_at_a_time_and_requests_meanwhile_are_told_why(rolls):
    world = rolls(overlap=False)
    await world.bring_up("code-v0")
    loading = asyncio.create_task(world.backend.load("code-v1", world.adapter("code-v1")))
    failure = await refusal(world)
    assert "is being replaced by one with code-v0, code-v1" in str(failure)
    assert failure.retryable
    assert len(world.alive()) <= 1
    await loading
    await world.answers("code-v1")
    with pytest.raises(Unavailable, match="is being replaced"):
        await world.ask("code-v0")
    await world.backend.adopt("code-v1")
    await world.answers(None, "code-v0", "code-v1")
    assert len(world.alive()) == 1


@pytest.mark.parametrize("how", ["does not start", "is not proven"])
async def test_without_overlap_the_old_one_comes_back_where_the_new_one_fails(rolls, how, tmp_path):
    world = rolls(overlap=False)
    await world.bring_up("code-v0")
    if how == "does not start":
        (tmp_path / "broken").mkdir()
        with pytest.raises(Unavailable, match="broken"):
            await world.backend.load("broken", tmp_path / "broken")
        await world.backend.unload("broken")
    else:
        await world.backend.load("code-v1", world.adapter("code-v1"))
        await world.backend.unload("code-v1")
    with pytest.raises(Unavailable, match="is being started again"):
        await world.backend.adapters()
    while not await world.backend.ready():
        await asyncio.sleep(0.02)
    await world.answers(None, "code-v0")
    assert len(world.alive()) == 1


async def test_what_an_old_server_has_begun_it_ends_and_is_given_up_after_a_while(rolls):
    world = rolls(drain_s=0.5, stop_s=5.0)
    await world.bring_up("code-v0")
    old = world.pids[-1]
    endless = asyncio.create_task(world.ask("code-v0", "!silent"))
    begun = asyncio.create_task(world.ask("code-v0"))
    await asyncio.sleep(0)
    await world.bring_up("code-v1")
    assert await begun == world.expected("code-v0")
    with pytest.raises(Unavailable):
        await endless
    await until(lambda: not running(old))


async def test_one_that_ignores_sigterm_is_killed(rolls):
    world = rolls(command=f"{COMMAND} --stubborn", stop_s=0.5)
    await world.bring_up("code-v0")
    await until(lambda: len(world.alive()) == 1)
    await world.answers("code-v0")


async def test_whatever_else_is_set_graphs_and_prefix_cache_are_off_and_our_secrets_stay_here(rolls, monkeypatch):
    monkeypatch.setenv("PREFIX_CACHING", "1")
    monkeypatch.setenv("CUDA_GRAPHS", "1,2")
    monkeypatch.setenv("ARCHLOOP_GENERATOR_API_TOKEN", "very secret")
    world = rolls()
    await world.bring_up("code-v0")
    await world.answers(None, "code-v0", None)
    environment = psutil.Process(world.pids[-1]).environ()
    assert "ARCHLOOP_GENERATOR_API_TOKEN" not in environment
    assert environment["LORA_ADAPTERS"] == f"code-v0={world.folder / 'code-v0'}"


async def test_a_server_with_graphs_on_answers_as_the_base_as_the_real_one_is_feared_to(rolls):
    """What the probe is for: nothing else tells."""
    world = rolls(command=f"{COMMAND} --cuda-graphs 1,2")
    await world.backend.load("code-v0", world.adapter("code-v0"))
    assert await world.ask("code-v0") == world.expected(None)
    await world.backend.unload("code-v0")


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
from services.generator.backends.launching import ProcessLauncher

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
