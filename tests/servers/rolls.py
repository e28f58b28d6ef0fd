"""A rolling backend over real processes of the double of TGI."""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from archloop.errors import Unavailable
from services.generator.backends.port import Decoding, ServedModel
from services.generator.backends.rolling import Rolling, Times
from services.generator.backends.tgi import TgiBackend
from services.generator.backends.tgi_launcher import ProcessLauncher
from tests.servers.double_model import answer, fingerprint

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
