"""The real handler behind every queue, without a model, and messages that are good for it."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from archloop.adapters import ADAPTER_FILES
from archloop.blobs.directory import DirectoryBlobs
from archloop.bus.consumer import Handler
from archloop.contracts.base import Message
from archloop.contracts.messages import (
    AdapterTrained,
    CandidateEvaluatedOk,
    CandidateGenerated,
    GenerationRequested,
    RunRequested,
    TrainingRequested,
)
from archloop.contracts.spec import GenerationSpec, NoveltySpec, RunSpec
from archloop.contracts.topology import EVALUATOR, GENERATOR, NOVELTY, REGISTRY, TRAINER, Queue, adapter_queue
from archloop.contracts.training import TrainingSpec
from archloop.contracts.values import Evaluation, SourceCode
from services.evaluator.evaluator import Evaluator
from services.evaluator.handlers import EvaluatorHandler
from services.evaluator.sandbox.port import Job, JobResult
from services.generator.adapter_files import AdapterFiles
from services.generator.adapters import AdapterManager
from services.generator.handlers import AdapterHandler, GenerateHandler
from services.generator.seeds import write
from services.novelty.handlers import NoveltyHandler
from services.novelty.sqlite import SqliteSignatures
from services.registry.control.controller import Controller
from services.registry.handlers import RegistryHandler
from services.registry.stores.sqlite import SqliteStore
from services.trainer.handlers import TrainerHandler
from services.trainer.job import Job as TrainingJob
from services.trainer.job import Tuned
from tests.unit.evaluator.support import HELDOUT, FakeSandbox, NoResults, quadrants
from tests.unit.generator.fakes import BASE, MANIFEST, PROBE, FakeBackend, Publisher

CANDIDATES = 50


@dataclass(frozen=True)
class Room:
    """A queue and who handles its messages; `say` is the n-th good one of a run, `close` lets go of everything."""

    queue: Queue
    handler: Handler
    say: Callable[[str, int], Awaitable[Message]]
    close: Callable[[], Awaitable[None]]


class Sandbox(FakeSandbox):
    """Remembers no jobs, of which there are thousands."""

    async def run(self, job: Job) -> JobResult:
        try:
            return await super().run(job)
        finally:
            self.jobs.clear()


class Tuner:
    """Leaves an adapter in no time."""

    async def tune(self, job: TrainingJob) -> Tuned:
        job.out.mkdir()
        for name in ADAPTER_FILES:
            (job.out / name).write_bytes(b"{}")
        return Tuned(
            pair_count=1, dropped=0, loss_curve=(), lora=MANIFEST["lora"], probe=PROBE, libraries={}, seconds=0.0
        )


async def generator(folder: Path) -> Room:
    blobs, backend = DirectoryBlobs(folder / "blobs"), FakeBackend()
    adapters = AdapterManager(backend, AdapterFiles(blobs, folder / "cache"), 2**20)

    async def say(run: str, number: int) -> Message:
        settings = {"generation": GenerationSpec(), "novelty": NoveltySpec(), "base_model": BASE.name}
        return GenerationRequested(run_id=run, index=number, seed=number, protocol="digits", **settings)

    async def close() -> None:
        adapters.close()

    return Room(GENERATOR, GenerateHandler(backend, adapters, blobs), say, close)


async def adapters(folder: Path) -> Room:
    blobs, backend = DirectoryBlobs(folder / "blobs"), FakeBackend()
    manager, publisher = AdapterManager(backend, AdapterFiles(blobs, folder / "cache"), 2**20), Publisher(blobs, folder)

    async def say(run: str, number: int) -> Message:
        adapter = await publisher.publish(f"{run}-c{number}")
        return AdapterTrained(run_id=run, cycle=number, adapter=adapter, pair_count=1)

    async def close() -> None:
        manager.close()

    return Room(adapter_queue("fuzz"), AdapterHandler(manager, "fuzz"), say, close)


async def evaluator(folder: Path) -> Room:
    evaluator = Evaluator(Sandbox(), quadrants, HELDOUT)
    return Room(
        EVALUATOR, EvaluatorHandler(evaluator, NoResults(), DirectoryBlobs(folder)), _generated, evaluator.close
    )


async def novelty(folder: Path) -> Room:
    store = SqliteSignatures(folder / "novelty.sqlite")
    handler = NoveltyHandler(store, DirectoryBlobs(folder / "blobs"), k=7, permutations=128, sizes="kept")

    async def close() -> None:
        store.close()

    return Room(NOVELTY, handler, _evaluated, close)


async def trainer(folder: Path) -> Room:
    blobs = DirectoryBlobs(folder / "blobs")
    pairs = await blobs.put("data/pairs.jsonl", b'{"prompt": "p", "completion": "c"}\n')

    async def say(run: str, number: int) -> Message:
        name = {"run_id": run, "cycle": number, "adapter": f"{run}-c{number}", "base_model": "tiny"}
        return TrainingRequested(**name, pairs=pairs, pair_count=1, training=TrainingSpec(), seed=0)

    async def close() -> None: ...

    return Room(TRAINER, TrainerHandler(blobs, Tuner()), say, close)


async def registry(folder: Path) -> Room:
    store = SqliteStore(folder / "registry.sqlite")
    controller = Controller(store, DirectoryBlobs(folder / "blobs"))

    async def say(run: str, number: int) -> Message:
        if number == 0:
            return RunRequested(run_id=run, spec=RunSpec(cycles=1, candidates=CANDIDATES, protocol="digits"))
        return await _generated(run, number)

    return Room(REGISTRY, RegistryHandler(store, controller), say, store.close)


ROOMS = (generator, adapters, evaluator, novelty, trainer, registry)


def _code(number: int) -> SourceCode:
    return SourceCode.inline(write(random.Random(number), "residual").code)


async def _generated(run: str, number: int) -> Message:
    return CandidateGenerated(run_id=run, index=number, code=_code(number), prompt="", protocol="digits")


async def _evaluated(run: str, number: int) -> Message:
    code = _code(number)
    evaluation = Evaluation(
        outcome="ok",
        stage="predict",
        protocol="digits",
        protocol_sha256="0" * 64,
        code_sha256=code.sha256,
        sandbox_level="process",
    )
    return CandidateEvaluatedOk(run_id=run, index=number, code=code, evaluation=evaluation)
