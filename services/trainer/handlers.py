"""Handler of trainings: training pairs in, adapter out."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import structlog
from pydantic import TypeAdapter, ValidationError

from archloop import telemetry
from archloop.blobs.port import Blobs
from archloop.contracts.adapter import AdapterManifest
from archloop.contracts.messages import AdapterTrained, TrainingRejected, TrainingRequested
from archloop.contracts.values import AdapterRef, BlobRef
from archloop.errors import Conflict, IntegrityError, InvalidInput, NotFound
from archloop.models import fingerprint
from services.trainer import checkpoints, publishing
from services.trainer.job import Job, Tuned, Tuner
from services.trainer.publishing import Published

log = structlog.get_logger(__name__)
_LOGGED = {"pair_count", "dropped", "steps", "resumed", "shape", "tokens_per_second"}
_NAME: TypeAdapter[str] = TypeAdapter(Annotated[str, AdapterRef.model_fields["adapter"]])


class TrainerHandler:
    """Trains adapters; idempotent, as a sound adapter in the object store is announced, not trained again.

    Where another training's adapter, or a damaged one, has the name, the new adapter gets another: no name is used
    twice.
    """

    def __init__(self, blobs: Blobs, tuner: Tuner, work_dir: Path | None = None) -> None:
        self._blobs, self._tuner, self._work_dir = blobs, tuner, work_dir

    async def handle(self, message: TrainingRequested) -> Sequence[AdapterTrained]:
        """Train one adapter, or announce it if it is there.

        Raises InvalidInput, IntegrityError, Conflict, and whatever the tuner raises.
        """
        _check_name(message.adapter)
        started = time.monotonic()
        base_sha256 = await asyncio.to_thread(fingerprint, message.base_model)
        job_sha256 = checkpoints.job_sha256(message, base_sha256)
        name, published = await self._place(message, job_sha256)
        if published is not None:
            return [_announcement(message, published)]
        message = message.model_copy(update={"adapter": name})
        published, speed = await self._train(message, base_sha256, job_sha256)
        if published.manifest.job_sha256 != job_sha256:
            raise Conflict(f"adapter {name!r} was published at the same time by another training")
        return [_announcement(message, published, time.monotonic() - started, speed)]

    async def _place(self, message: TrainingRequested, job_sha256: str) -> tuple[str, Published | None]:
        """Return the first name that is free, or that this very training's sound adapter has already."""
        for name in publishing.names(message.adapter, job_sha256):
            try:
                published = await publishing.find(self._blobs, name)
                if published is None:
                    return name, None
                if published.manifest.job_sha256 == job_sha256:
                    await publishing.verify(self._blobs, published.manifest)
                    return name, published
                log.warning("the adapter's name is another training's", adapter=name)
            except (IntegrityError, NotFound) as error:
                log.warning("an adapter is damaged", adapter=name, error=str(error))
        raise Conflict(f"adapter {message.adapter!r}: every name that it could have is taken by damaged ones")

    async def _train(self, message: TrainingRequested, base_sha256: str, job_sha256: str) -> tuple[Published, float]:
        """Train and publish; return the adapter, and the tokens per second of its training."""
        with tempfile.TemporaryDirectory(dir=self._work_dir, ignore_cleanup_errors=True) as scratch:
            job = await self._prepare(message, Path(scratch), base_sha256, job_sha256)
            with telemetry.span("tune") as span:
                tuned = await self._tuner.tune(job)
                span.note(adapter=message.adapter, pairs=tuned.pair_count, steps=tuned.steps)
            learnt = {"adapter": message.adapter, "method": message.training.method}
            log.info("adapter trained", **learnt, **tuned.model_dump(include=_LOGGED))
            manifest = partial(_manifest, message, base_sha256, job_sha256, tuned)
            with telemetry.span("publish adapter"):
                published = await publishing.publish(self._blobs, message.adapter, job.out, manifest)
            checkpoints.forget(job.checkpoints)
            return published, tuned.tokens_per_second

    async def _prepare(self, message: TrainingRequested, scratch: Path, base_sha256: str, job_sha256: str) -> Job:
        """Write everything that the training process needs, verified, to files."""
        job = Job(
            base_model=message.base_model,
            pairs=scratch / "pairs.jsonl",
            parent=scratch / "parent" if message.parent else None,
            out=scratch / "adapter",
            training=message.training,
            seed=message.seed,
            checkpoints=checkpoints.folder(self._work_dir, message, job_sha256),
        )
        job.pairs.write_bytes(await self._blobs.get(message.pairs))
        if message.parent is not None and job.parent is not None:
            parent = await publishing.read_manifest(self._blobs, message.parent.manifest)
            _check_base(parent, message.base_model, base_sha256)
            await publishing.fetch(self._blobs, parent, job.parent)
        return job


def rejected(message: TrainingRequested, reason: str) -> TrainingRejected:
    """Return the event for a training that cannot be done."""
    return TrainingRejected(**message.about(), reason=reason)


def _check_name(adapter: str) -> None:
    try:
        _NAME.validate_python(adapter)
    except ValidationError as error:
        raise InvalidInput(
            "adapter", adapter, "lower-case letters and digits, single dashes between, at most 63"
        ) from error


def _check_base(parent: AdapterManifest, base_model: str, base_sha256: str) -> None:
    if (parent.base_model, parent.base_sha256) != (base_model, base_sha256):
        raise Conflict(
            f"parent adapter {parent.adapter!r} was tuned on base model {parent.base_model!r} with sha256 "
            f"{parent.base_sha256}, not on {base_model!r} with {base_sha256}"
        )


def _manifest(
    message: TrainingRequested, base_sha256: str, job_sha256: str, tuned: Tuned, files: dict[str, BlobRef]
) -> AdapterManifest:
    return AdapterManifest(
        adapter=message.adapter,
        base_model=message.base_model,
        base_sha256=base_sha256,
        parent=message.parent.adapter if message.parent else None,
        lora=tuned.lora,
        files=files,
        pairs_sha256=message.pairs.sha256,
        pair_count=tuned.pair_count,
        seed=message.seed,
        epochs=message.training.passes(tuned.pair_count),
        loss_curve=tuned.loss_curve,
        steps=tuned.steps,
        token_curve=tuned.token_curve,
        quantization=message.training.quantization,
        method=message.training.method,
        batch=tuned.shape,
        libraries=tuned.libraries,
        probe=tuned.probe,
        job_sha256=job_sha256,
    )


def _announcement(
    message: TrainingRequested, published: Published, seconds: float = 0.0, speed: float = 0.0
) -> AdapterTrained:
    manifest = published.manifest
    return AdapterTrained(
        **message.about(),
        adapter=published.ref,
        pair_count=manifest.pair_count,
        loss_curve=manifest.loss_curve,
        token_curve=manifest.token_curve,
        steps=manifest.steps,
        seconds=seconds,
        tokens_per_second=speed,
    )
