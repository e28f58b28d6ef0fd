"""Another system takes part as the how-to says: its commands, on a real broker, amid real services.

Only the generator and the trainer are played; the evaluator, novelty and the registry are the real ones.
"""

import ast
import asyncio
import os
import random
import re
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from archloop.blobs.directory import DirectoryBlobs
from archloop.bus.amqp import AmqpBus
from archloop.bus.consumer import Consumer
from archloop.bus.port import Delivery
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import CandidateGenerated, GenerationRequested
from archloop.contracts.topology import GENERATOR, TRAINER, Queue
from archloop.contracts.trace import trace_id
from archloop.contracts.values import SourceCode
from archloop.errors import SandboxUnavailable
from archloop.ops.http import listening
from services.evaluator import app as evaluator
from services.evaluator.settings import EvaluatorSettings
from services.generator.seeds import write
from services.novelty import app as novelty
from services.novelty.settings import NoveltySettings
from services.registry import app as registry
from services.registry.settings import RegistrySettings
from services.registry.stores.sqlite import SqliteStore
from tests.contract.test_bus import scrubbed
from tests.escape.arena import skip_or_fail
from tests.servers.process import ServerMissing, required
from tests.support import shell_of
from tests.unit.registry.world import Trainer

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"
HOW_TO = ROOT / "docs/how-to/other-systems.md"
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240), pytest.mark.slow]


class Writer:
    """A generator without a language model."""

    async def handle(self, message: GenerationRequested) -> Sequence[CandidateGenerated]:
        code = write(random.Random(f"{message.cycle}/{message.index}"), "residual").code
        place = {"run_id": message.run_id, "cycle": message.cycle, "index": message.index}
        return [CandidateGenerated(**place, code=SourceCode.inline(code), prompt="", protocol=message.protocol)]


@dataclass
class Loop:
    """Archloop on a broker, as others see it, and all that was said there."""

    bus: AmqpBus
    store: SqliteStore
    amqp_url: str
    registry_url: str
    heard: list[Envelope] = field(default_factory=list)

    async def hear(self, delivery: Delivery) -> None:
        self.heard.append(Envelope.parse(delivery.body))
        await delivery.ack()

    async def run(self, *command: object) -> list[str]:
        """The lines that another system's process prints."""
        paths = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {"PATH": paths, "AMQP_URL": self.amqp_url, "REGISTRY": self.registry_url}
        process = await asyncio.create_subprocess_exec(
            *map(str, command), cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            output, errors = await asyncio.wait_for(process.communicate(), 120)
        finally:
            if process.returncode is None:
                process.kill()
        assert (process.returncode, errors.decode()) == (0, "")
        return output.decode().splitlines()

    async def example(self, name: str, *arguments: object) -> list[str]:
        return await self.run("python", EXAMPLES / name, *arguments)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def loop(broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Loop]:
    folder = tmp_path_factory.mktemp("loop")
    bus, blobs, store = AmqpBus(broker_url, "loop"), DirectoryBlobs(folder), SqliteStore(folder / "registry.sqlite")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        stack.push_async_callback(bus.close)
        stack.push_async_callback(scrubbed, bus)
        recorder = await stack.enter_async_context(
            registry.running(RegistrySettings(tick_s=0.1), bus=bus, blobs=blobs, store=store)
        )
        url = await stack.enter_async_context(listening(recorder.api, "127.0.0.1", 0, "port"))
        settings = NoveltySettings(store=folder / "novelty.sqlite")
        await stack.enter_async_context(novelty.running(settings, bus=bus, blobs=blobs))
        slots = EvaluatorSettings(slots=1)
        try:
            await stack.enter_async_context(evaluator.running(slots, bus=bus, blobs=blobs, results=store))
        except SandboxUnavailable as error:
            skip_or_fail(str(error))
        for queue, handler in ((GENERATOR, Writer()), (TRAINER, Trainer())):
            await Consumer(bus, queue, handler, queue.name).start()
        loop = Loop(bus, store, broker_url, url)
        everything = Queue("theirs", ("#",), prefetch=100)
        await bus.declare(everything)
        await bus.subscribe(everything, loop.hear)
        yield loop


async def finished(loop: Loop, run_id: str) -> str | None:
    while (run := await loop.store.run(run_id)) is None or run.finished is None:
        await asyncio.sleep(0.05)
    return run.reason


async def test_a_submitted_network_is_scored_and_judged_and_the_same_again_is_a_duplicate(loop: Loop) -> None:
    first, second = [await loop.example("submit_and_listen.py", EXAMPLES / "net.py") for _ in range(2)]
    assert first[0] == second[0] == "candidate.submitted"
    assert re.fullmatch(r"candidate\.evaluated\.ok outcome=ok accuracy=0\.\d+", first[1])
    assert second[1] == first[1], "what was measured once is not measured again"
    assert first[2:] == ["candidate.judged verdict=novel similarity=0.0"]
    assert second[2:] == ["candidate.judged verdict=exact_duplicate similarity=1.0"]
    assert await loop.bus.parked() == []


async def test_a_network_that_fails_ends_with_what_is_wrong(loop: Loop, tmp_path: Path) -> None:
    wrong = tmp_path / "net.py"
    wrong.write_text("import torch\nx = (\n")
    said = await loop.example("submit_and_listen.py", wrong)
    assert [line.split()[0] for line in said] == ["candidate.submitted", "candidate.evaluated.failed"]
    assert "outcome=syntax_error" in said[-1]


async def test_a_requested_run_is_followed_to_its_end(loop: Loop) -> None:
    said = await loop.example("request_run.py")
    assert [line.split()[:2] for line in said] == [
        ["cycle.closed", "cycle=0"],
        ["cycle.closed", "cycle=1"],
        ["run.finished", "reason=completed"],
    ]
    assert await loop.bus.parked() == []


async def test_every_command_of_the_how_to_does_what_it_says(loop: Loop) -> None:
    with required("curl"):
        if shutil.which("curl") is None:
            raise ServerMissing("apt-get install curl")
    said = "\n".join(await loop.run(*shell_of(HOW_TO)))
    for expected in ("candidate.judged verdict=", '"judgement":{', "run.finished reason=completed", "/runs/mine-1"):
        assert expected in said
    assert await finished(loop, "mine-1") == "completed"
    assert await loop.bus.parked() == []
    mine = [e for e in loop.heard if e.data.get("submission") == "net-1"]
    assert [e.routing_key for e in mine] == ["candidate.submitted", "candidate.evaluated.ok", "candidate.judged"]
    assert {trace_id(e.traceparent) for e in mine} == {"4bf92f3577b34da6a3ce929d0e0e4736"}


@pytest.mark.parametrize("name", ["submit_and_listen.py", "request_run.py"])
async def test_an_example_needs_aio_pika_and_nothing_of_ours(name: str) -> None:
    tree = ast.parse((EXAMPLES / name).read_text())
    imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imported |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} - sys.stdlib_module_names == {"aio_pika"}
