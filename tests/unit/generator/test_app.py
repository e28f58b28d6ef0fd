"""The composed service on a memory bus, with the real CPU server and a really fingerprinted adapter."""

import asyncio

import pytest
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from archloop.blobs.directory import DirectoryBlobs
from archloop.bus.memory import MemoryBus
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import AdapterActivated, AdapterTrained, CandidateGenerated, GenerationRequested
from archloop.contracts.spec import GenerationSpec, NoveltySpec
from archloop.contracts.topology import Queue
from archloop.contracts.values import AdapterRef
from archloop.errors import Misconfigured, Unavailable
from archloop.models import fingerprint
from services.generator.app import backend_of, running
from services.generator.modelserver.process import spawned
from services.generator.settings import GeneratorSettings
from services.trainer.probe import take
from tests.unit.generator.fakes import Publisher
from tests.unit.generator.tiny_model import save_adapter, save_base

pytestmark = pytest.mark.timeout(240)

EVERYTHING = Queue("everything", ("#",), prefetch=100)
NUMBER = 20


@pytest.fixture
def base(tmp_path):
    return save_base(tmp_path / "base", length=2048)


async def published(base, folder, blobs, name="code-v1", seed=1) -> AdapterRef:
    """A random adapter with the fingerprint that the trainer would take of it."""
    save_adapter(base, folder, target_modules=["q_proj"], seed=seed)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder)
    tokenizer = AutoTokenizer.from_pretrained(base)
    files = {name: (folder / name).read_bytes() for name in ("adapter_config.json", "adapter_model.safetensors")}
    return await Publisher(blobs, folder).publish(
        name, files=files, base_sha256=fingerprint(str(base)), probe=take(model, tokenizer, "# A network, please.\n")
    )


def request(index, base, adapter) -> GenerationRequested:
    return GenerationRequested(
        run_id="run",
        cycle=1,
        index=index,
        seed=index,
        protocol="digits",
        generation=GenerationSpec(max_new_tokens=30),
        novelty=NoveltySpec(),
        base_model=str(base),
        adapter=adapter,
    )


class Heard(list):
    """A consumer of everything that is said on the bus."""

    async def handle(self, delivery) -> None:
        self.append(Envelope.parse(delivery.body).message())

    async def of(self, kind, number=1):
        while len(found := [message for message in self if isinstance(message, kind)]) < number:
            await asyncio.sleep(0.01)
        return found


async def say(bus, message) -> None:
    await bus.publish(Envelope.of(message, source="test"))


async def test_adapters_are_activated_and_requests_answered_by_the_one_they_name(base, tmp_path):
    bus, blobs, heard = MemoryBus(), DirectoryBlobs(tmp_path / "blobs"), Heard()
    await bus.declare(EVERYTHING)
    await bus.subscribe(EVERYTHING, heard.handle)
    adapter = await published(base, tmp_path / "adapter", blobs)
    async with spawned(str(base), slots=16, threads=1, log=tmp_path / "log") as url:
        settings = GeneratorSettings(server_url=url, replica="r1", cache_dir=tmp_path / "cache")
        async with running(settings, bus=bus, blobs=blobs, backend=backend_of(settings)) as app:
            await say(bus, AdapterTrained(run_id="run", cycle=0, adapter=adapter, pair_count=1))
            assert await heard.of(AdapterActivated) == [
                AdapterActivated(run_id="run", adapter="code-v1", replica="r1"),
            ]
            for index in range(NUMBER):
                await say(bus, request(index, base, adapter if index % 2 else None))
            generated = {message.index: message for message in await heard.of(CandidateGenerated, NUMBER)}
            assert {index: message.adapter for index, message in generated.items()} == {
                index: "code-v1" if index % 2 else None for index in range(NUMBER)
            }
            assert all(message.usage.completion_tokens > 0 for message in generated.values())
            assert app.adapters.active == ["code-v1"]
    assert not list((tmp_path / "cache").iterdir()), "the private files are gone"
    assert await bus.parked() == []


async def test_adapters_that_come_one_after_another_under_load_drop_no_answer(base, tmp_path):
    bus, blobs, heard = MemoryBus(), DirectoryBlobs(tmp_path / "blobs"), Heard()
    await bus.declare(EVERYTHING)
    await bus.subscribe(EVERYTHING, heard.handle)
    refs = [await published(base, tmp_path / f"a{n}", blobs, f"code-v{n}", seed=n) for n in range(1, 4)]
    active, asked, resident = [None], {}, []

    async def keep_asking(worker: int) -> None:
        while len(active) <= len(refs) or refs[-1] not in asked.values():
            index = len(asked)
            asked[index] = active[-1]
            await say(bus, request(index, base, active[-1]))
            while index not in {m.index for m in heard if isinstance(m, CandidateGenerated)}:
                await asyncio.sleep(0.05)

    async with spawned(str(base), slots=16, threads=1, log=tmp_path / "log") as url:
        settings = GeneratorSettings(server_url=url, replica="r1", cache_dir=tmp_path / "cache")
        backend = backend_of(settings)
        async with running(settings, bus=bus, blobs=blobs, backend=backend):
            workers = [asyncio.create_task(keep_asking(worker)) for worker in range(12)]
            for number, ref in enumerate(refs, 1):
                await say(bus, AdapterTrained(run_id=ref.adapter, cycle=0, adapter=ref, pair_count=1))
                await heard.of(AdapterActivated, number)
                resident.append(len(await backend.adapters()))
                active.append(ref)
                while ref not in asked.values():
                    await asyncio.sleep(0.01)
            await asyncio.gather(*workers)
    answered = {m.index: m.adapter for m in heard if isinstance(m, CandidateGenerated)}
    assert answered == {index: ref and ref.adapter for index, ref in asked.items()}
    assert len(set(answered.values())) == 1 + len(refs), "there was load all the time"
    assert resident == [1, 2, 2]
    assert await bus.parked() == []


async def test_a_model_server_that_cannot_start_says_why(tmp_path):
    with pytest.raises(Unavailable, match="nowhere"):
        async with spawned(str(tmp_path / "nowhere"), slots=16, threads=1, log=tmp_path / "log"):
            pass


def test_settings_name_what_is_wrong_and_keep_the_token_secret(monkeypatch):
    monkeypatch.setenv("ARCHLOOP_GENERATOR_API_TOKEN", "very secret")
    assert "very secret" not in repr(GeneratorSettings.load())
    monkeypatch.setenv("ARCHLOOP_GENERATOR_CONCURRENCY", "0")
    with pytest.raises(Misconfigured, match="ARCHLOOP_GENERATOR_CONCURRENCY") as refusal:
        GeneratorSettings.load()
    assert "very secret" not in str(refusal.value)
