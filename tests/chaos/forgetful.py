"""The registry, novelty and the trainer's handler on a real broker and real stores, any of which can be emptied."""

import asyncio
import io
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from pymongo import MongoClient

from archloop import training_pairs
from archloop.adapters import ADAPTER_FILES
from archloop.blobs.minio import Bucket, MinioBlobs
from archloop.bus.amqp import AmqpBus
from archloop.bus.consumer import Consumer
from archloop.bus.memory import MemoryBus
from archloop.bus.port import Bus
from archloop.bus.rejections import RejectingHandler
from archloop.contracts.adapter import LoraShape, Probe
from archloop.contracts.base import Message
from archloop.contracts.messages import CandidateGenerated, GenerationRequested
from archloop.contracts.spec import RunSpec
from archloop.contracts.topology import EVALUATOR, GENERATOR, TRAINER
from archloop.contracts.values import SourceCode
from services.novelty import app as novelty
from services.novelty.settings import NoveltySettings
from services.registry import app as registry
from services.registry.records import CandidateQuery
from services.registry.settings import RegistrySettings
from services.registry.stores.mongo import MongoStore
from services.trainer.handlers import TrainerHandler
from services.trainer.handlers import rejected as training_rejected
from services.trainer.job import Job, Tuned
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.s3 import S3
from tests.unit.registry.world import RUN, Evaluator, Generator

DEADLINE_S = 100.0
SETTINGS = RegistrySettings(tick_s=0.2, patience_s=3.0, training_patience_s=3.0, echo_s=0.5, lease_s=8, asks=4)
PROBE = Probe(prompt="p", max_new_tokens=1, text="t", logprob=-1.0, base_text="b", base_logprob=-2.0)


class InstantTuner:
    """Reads the pairs as the real one does, and leaves an adapter that is made of them."""

    async def tune(self, job: Job) -> Tuned:
        read = training_pairs.read(job.pairs)
        job.out.mkdir()
        for name in ADAPTER_FILES:
            (job.out / name).write_bytes(job.pairs.read_bytes() + str(job.seed).encode())
        lora = LoraShape(r=8, alpha=16, target_modules=("q_proj",))
        return Tuned(
            pair_count=len(read), dropped=0, loss_curve=(1.0,), lora=lora, probe=PROBE, libraries={}, seconds=0.1
        )


class Writer(Generator):
    """What it writes can be read by novelty, and told apart. It does not depend on what an adapter is called."""

    async def handle(self, message: GenerationRequested) -> Sequence[Message]:
        (said,) = await super().handle(message.model_copy(update={"adapter": None}))
        assert isinstance(said, CandidateGenerated)
        layer = (said.code.text or "").replace(" ", "_")
        lines = "".join(f"        x = self.{layer}_{number}(x)\n" for number in range(8))
        code = SourceCode.inline(f"class Net:\n    def forward(self, x):\n{lines}        return x\n")
        return [said.model_copy(update={"code": code})]


class Told:
    """A worker that says when it is handed its next message, before it does anything."""

    def __init__(self, worker: Any) -> None:
        self.worker, self.count = worker, 0
        self.before: Callable[[Any, int], None] = lambda message, count: None

    async def handle(self, message: Any) -> Sequence[Message]:
        self.count += 1
        await asyncio.to_thread(self.before, message, self.count)
        said: Sequence[Message] = await self.worker.handle(message)
        return said


class Forgetful:
    """On a virtual host, a database, a bucket and a folder of their own; without a broker on a bus in memory."""

    def __init__(self, folder: Path, broker: RabbitMQ | None, mongo_url: str, s3: S3) -> None:
        self.name, self.broker_url = f"forgetful-{uuid.uuid4().hex[:8]}", ""
        if broker is not None:
            self.broker_url = broker.room()
        self.mongo_url, self.s3, self.folder = mongo_url, s3, folder
        self.generator, self.evaluator = Told(Writer()), Told(Evaluator())
        self.blobs = MinioBlobs(Bucket(s3.endpoint, self.name, s3.access_key, s3.secret_key))
        self.trainer = Told(RejectingHandler(TrainerHandler(self.blobs, InstantTuner()), training_rejected))
        self.store: MongoStore
        self.bus: Bus
        self.client: httpx.AsyncClient

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """Everything runs."""
        await self.blobs.ensure_bucket()
        async with AsyncExitStack() as stack:
            self.bus = MemoryBus()
            if self.broker_url:
                self.bus = AmqpBus(self.broker_url, "forgetful")
                await self.bus.connect()
            stack.push_async_callback(self.bus.close)
            self.store = await MongoStore.open(self.mongo_url, self.name)
            stack.push_async_callback(self.store.close)
            for queue, worker in ((GENERATOR, self.generator), (EVALUATOR, self.evaluator), (TRAINER, self.trainer)):
                await Consumer(self.bus, queue, worker, queue.name).start()
            own = NoveltySettings(store=self.folder / "novelty.sqlite")
            await stack.enter_async_context(novelty.running(own, bus=self.bus, blobs=self.blobs))
            app = await stack.enter_async_context(
                registry.running(SETTINGS, bus=self.bus, blobs=self.blobs, store=self.store)
            )
            transport = httpx.ASGITransport(app.api, raise_app_exceptions=False)
            self.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")
            await stack.enter_async_context(self.client)
            yield

    async def request(self, spec: RunSpec, run_id: str = RUN) -> int:
        """The status of the answer."""
        body = {"run_id": run_id, "spec": spec.model_dump(mode="json")}
        return (await self.client.post("/runs", json=body)).status_code

    async def ended(self, run_id: str = RUN) -> str:
        """The reason, once there is one."""
        began = time.monotonic()
        while (run := await self.store.run(run_id)) is None or run.finished is None:
            assert time.monotonic() - began < DEADLINE_S, f"it waits: {run}"
            await asyncio.sleep(0.05)
        return str(run.reason)

    async def results(self) -> list[tuple[object, ...]]:
        """Of each candidate: where it stands, its code, its outcome, its verdict, and whether it was admitted."""
        rows = (await self.store.candidates(CandidateQuery(run_id=RUN))).items
        return [
            (
                *(row.cycle, row.index, row.code_sha256, row.evaluation and row.evaluation.outcome, row.admitted),
                row.judgement and (row.judgement.verdict, row.judgement.nearest, row.judgement.similarity),
            )
            for row in rows
        ]

    def empty_database(self) -> None:
        """As an operator would, under everybody's feet."""
        client: MongoClient[dict[str, Any]]
        with MongoClient(self.mongo_url) as client:
            client.drop_database(self.name)

    def objects(self, prefix: str) -> list[str]:
        """The keys."""
        found = self.s3.client().list_objects(self.name, prefix=prefix, recursive=True)
        return [str(each.object_name) for each in found]

    def delete(self, prefix: str) -> None:
        """All of them."""
        for key in self.objects(prefix):
            self.s3.client().remove_object(self.name, key)

    def overwrite(self, prefix: str, content: bytes, *, keep_hash: bool = False) -> None:
        """Other bytes, with the first ones' hash still beside them or not."""
        for key in self.objects(prefix):
            known = self.s3.client().stat_object(self.name, key).metadata or {}
            kept: dict[str, Any] | None = {"sha256": known.get("x-amz-meta-sha256", "")} if keep_hash else None
            self.s3.client().put_object(self.name, key, io.BytesIO(content), len(content), metadata=kept)
