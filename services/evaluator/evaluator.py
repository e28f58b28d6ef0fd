"""Evaluation of a candidate: its code in, the measured outcome out."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

import structlog

from archloop import sources
from archloop.contracts.values import Evaluation, Outcome, Rung, sha256_of
from archloop.protocols.model import DatasetSpec, Protocol
from services.evaluator import ladder, second_chance
from services.evaluator.datasets import Dataset
from services.evaluator.harness import frames
from services.evaluator.reading import STAGES, Reading, read, stage_seconds
from services.evaluator.sandbox.port import Job, JobResult, Sandbox
from services.evaluator.sandbox.shared import SharedArray
from services.evaluator.scoring import MARGIN, Permutation, Score, differ, score
from services.evaluator.secret import Secret
from services.evaluator.training import Training, whole
from services.evaluator.views import shown

log = structlog.get_logger(__name__)

# The longest of LEMUR's 10,737 networks has 178,375 bytes. What is beyond is room for tables of labels.
SOURCE_LIMIT = 192 * 1024


@dataclass(frozen=True)
class _Material:
    """Data set, and its training part where children can map it."""

    dataset: Dataset
    train: tuple[SharedArray, SharedArray]

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        return cls(dataset, (SharedArray.of(dataset.train_images), SharedArray.of(dataset.train_labels)))


@dataclass(frozen=True)
class _Heldout:
    """Held-out images as one job sees them: `images` where its child can map them, in this order."""

    dataset: Dataset
    order: Permutation
    images: SharedArray


@dataclass
class Evaluator:
    """Scores candidates in a sandbox. The same code under the same protocol and secret gives the same score."""

    sandbox: Sandbox
    load: Callable[[DatasetSpec], Dataset]
    secret: Secret
    threads: int = 1
    memory_fraction: float = 1.0
    _materials: dict[str, _Material] = field(default_factory=dict)
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def evaluate(self, code: str, protocol: Protocol, bar: float | None = None) -> Evaluation:
        """Evaluate code under a protocol; whatever the candidate does is part of the evaluation.

        Where the protocol has a ladder, who is below the `bar` at its rung is stopped there.

        Raises Unavailable when the sandbox failed, NotFound or InvalidInput for the protocol's data set.
        """
        code_sha256 = sha256_of(code)
        flaw = unreadable(code)
        if flaw is not None:
            return self._evaluation(flaw, protocol, code_sha256)
        if protocol.ladder is None:
            return await self._trained(code, code_sha256, whole(protocol))
        return await self._climbed(code, code_sha256, whole(protocol), protocol.ladder.share, bar)

    async def close(self) -> None:
        """Free the shared arrays."""
        for material in self._materials.values():
            for array in material.train:
                array.close()
        self._materials.clear()

    def rejected(
        self, problem: str, protocol: Protocol, code_sha256: str, outcome: Outcome = Outcome.CONTRACT_ERROR
    ) -> Evaluation:
        """Return the evaluation of an answer without code to run, or of a file that is no text."""
        return self._evaluation(Reading(outcome, STAGES[0], problem), protocol, code_sha256)

    async def _climbed(
        self, code: str, code_sha256: str, training: Training, share: float, bar: float | None
    ) -> Evaluation:
        """Train on a share of the images, then anew on all if the accuracy reaches the bar; within one's limits."""
        part = await self._trained(code, code_sha256, replace(training, images=math.ceil(share * training.images)))
        rung = Rung(share=share, accuracy=part.accuracy, bar=bar)
        if not rung.passed:
            return ladder.stopped(part, rung)
        left = second_chance.left(training.limits, part)
        if left is None:
            return ladder.out_of_time(part, rung)
        return ladder.together(part, await self._trained(code, code_sha256, replace(training, limits=left)), rung)

    async def _trained(self, code: str, code_sha256: str, training: Training) -> Evaluation:
        first = await self._attempt(code, code_sha256, training)
        left = second_chance.allowance(training.protocol, training.limits, first)
        if left is None:
            return first
        half = replace(training, batch=training.batch // 2, limits=left)
        log.info("out of memory: once more at half the batch", batch=half.batch)
        return second_chance.together(first, await self._attempt(code, code_sha256, half))

    async def _attempt(self, code: str, code_sha256: str, training: Training) -> Evaluation:
        protocol = training.protocol
        material = await self._material(protocol.dataset)
        heldout = await asyncio.to_thread(self._heldout, material.dataset, protocol, code_sha256)
        try:
            result = await self.sandbox.run(self._job(code, material, heldout, training))
        finally:
            heldout.images.close()
        reading = read(result, training.limits, count=len(heldout.order), classes=protocol.dataset.classes)
        reading = _wished(reading, protocol)
        evaluation = self._measured(reading, result, protocol, heldout, code_sha256)
        per_step = None
        if evaluation.stage == STAGES[-1] and "train" in evaluation.stage_seconds:
            per_step = evaluation.stage_seconds["train"] / training.steps
        return evaluation.model_copy(update={"batch": training.batch, "seconds_per_step": per_step})

    def _heldout(self, dataset: Dataset, protocol: Protocol, code_sha256: str) -> _Heldout:
        """Shuffle the held-out images for one job and, if they are public, change each slightly.

        Permutation and changes derive from the secret, so that only this side knows them.
        """
        job = f"{code_sha256}/{protocol.sha256}"
        order = self.secret.generator("order", job).permutation(len(dataset.heldout_labels))
        images = dataset.heldout_images[order]
        if dataset.public:
            images = shown(images, self.secret.generator("view", job), mirror=protocol.flip)
        return _Heldout(dataset, order, SharedArray.of(images))

    async def _material(self, spec: DatasetSpec) -> _Material:
        key = spec.model_dump_json()
        async with self._loading:
            if key not in self._materials:
                self._materials[key] = _Material.of(await asyncio.to_thread(self.load, spec))
            return self._materials[key]

    def _job(self, code: str, material: _Material, heldout: _Heldout, training: Training) -> Job:
        return Job(
            source=sources.encoded(code),
            task=training.task(material.dataset, self.threads, self.memory_fraction),
            arrays=(*material.train, heldout.images),
            limits=training.limits,
            result_bytes=4 * len(heldout.order) + 2 * frames.OUTCOME_LIMIT,
        )

    def _measured(
        self, reading: Reading, result: JobResult, protocol: Protocol, heldout: _Heldout, code_sha256: str
    ) -> Evaluation:
        measures: dict[str, Any] = {
            "seconds": result.wall,
            "cpu_seconds": result.cpu,
            "peak_memory_bytes": result.peak_memory,
            "stage_seconds": stage_seconds(result),
            "device": result.device.name,
            "device_name": result.device.model,
            "driver": result.device.driver,
        }
        if reading.predictions is not None:
            found = score(
                reading.predictions, heldout.dataset.heldout_labels, heldout.order, heldout.dataset.validation
            )
            measures |= {"accuracy": found.validation, "test_accuracy": found.test}
            reading = _scored(reading, found, protocol)
        log.debug("evaluated", outcome=reading.outcome, stage=reading.stage, detail=reading.detail)
        return self._evaluation(reading, protocol, code_sha256, **measures)

    def _evaluation(self, reading: Reading, protocol: Protocol, code_sha256: str, **measures: Any) -> Evaluation:
        return Evaluation(
            outcome=reading.outcome,
            stage=reading.stage,
            detail=reading.detail,
            protocol=protocol.name,
            protocol_sha256=protocol.sha256,
            code_sha256=code_sha256,
            **reading.measures._asdict(),
            sandbox_level=self.sandbox.level,
            heldout_id=self.secret.id,
            **measures,
        )


def _wished(reading: Reading, protocol: Protocol) -> Reading:
    """Check that the reading claims only a precision and memory format that the child can have used.

    The child may have given up those of the protocol, but has been given no others.
    """
    told = (reading.measures.precision, reading.measures.memory_format)
    known = ((None, "float32", protocol.precision), (None, "contiguous", protocol.memory_format))
    if all(word in words for word, words in zip(told, known, strict=True)):
        return reading
    return Reading(Outcome.CRASHED, reading.stage, "claims a precision or memory format that nobody asked for")


def _scored(reading: Reading, found: Score, protocol: Protocol) -> Reading:
    """Return the reading with the outcome that follows from the accuracies."""
    dataset, margin = protocol.dataset, protocol.suspect_margin
    if differ(found, dataset.validation, dataset.test, MARGIN if margin is None else margin):
        detail = f"accuracy {found.validation:.3f} on the validation split, {found.test:.3f} on the test split"
        return reading._replace(outcome=Outcome.SUSPECT, detail=detail)
    if found.validation <= protocol.chance_line:
        detail = f"accuracy {found.validation:.3f}, chance is {1 / dataset.classes:.3f}"
        return reading._replace(outcome=Outcome.BELOW_CHANCE, detail=detail)
    return reading


def unreadable(code: str) -> Reading | None:
    """Return what is wrong with the text itself, None if nothing is; parsing it is left to the sandbox."""
    stage = STAGES[0]
    if not sources.is_utf8(code):
        return Reading(Outcome.SYNTAX_ERROR, stage, "the source is not valid UTF-8")
    if "\0" in code:
        return Reading(Outcome.SYNTAX_ERROR, stage, "the source holds a NUL character")
    if (size := len(sources.encoded(code))) > SOURCE_LIMIT:
        return Reading(Outcome.CONTRACT_ERROR, stage, f"{size} bytes of source, at most {SOURCE_LIMIT} are allowed")
    return None
