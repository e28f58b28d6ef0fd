"""Code in, measured outcome out."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import structlog

from archloop.contracts.values import Evaluation, Outcome, sha256_of
from archloop.protocols.model import DatasetSpec, Protocol
from services.evaluator.datasets import Dataset
from services.evaluator.harness import frames
from services.evaluator.harness.task import Task
from services.evaluator.reading import STAGES, Reading, read, stage_seconds
from services.evaluator.sandbox.port import Job, JobResult, Sandbox
from services.evaluator.sandbox.shared import SharedArray
from services.evaluator.scoring import Order, score, secret_order

log = structlog.get_logger(__name__)

SOURCE_LIMIT = 1024**2


@dataclass(frozen=True)
class _Material:
    """A data set, and its training part where children can map it."""

    dataset: Dataset
    train: tuple[SharedArray, SharedArray]

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        return cls(dataset, (SharedArray.of(dataset.train_images), SharedArray.of(dataset.train_labels)))


@dataclass
class Evaluator:
    """Scores candidates in a sandbox. The same code under the same protocol gives the same score."""

    sandbox: Sandbox
    load: Callable[[DatasetSpec], Dataset]
    threads: int = 1
    memory_fraction: float = 1.0
    _materials: dict[str, _Material] = field(default_factory=dict)
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def evaluate(self, code: str, protocol: Protocol) -> Evaluation:
        """Never fails because of the candidate.

        Raises Unavailable when the sandbox failed, NotFound or InvalidInput for the protocol's data set.
        """
        code_sha256 = sha256_of(code)
        flaw = unreadable(code)
        if flaw is not None:
            return self._evaluation(flaw, protocol, code_sha256)
        evaluation = await self._attempt(code, protocol, code_sha256, protocol.batch)
        if protocol.on_out_of_memory == "half_batch" and protocol.batch > 1 and _starved(evaluation):
            log.info("out of memory: once more at half the batch", batch=protocol.batch // 2)
            evaluation = await self._attempt(code, protocol, code_sha256, protocol.batch // 2)
        return evaluation

    async def close(self) -> None:
        """Free the shared arrays."""
        for material in self._materials.values():
            for array in material.train:
                array.close()
        self._materials.clear()

    def rejected(self, problem: str, protocol: Protocol, code_sha256: str) -> Evaluation:
        """The evaluation of an answer that holds no code to run."""
        return self._evaluation(Reading(Outcome.CONTRACT_ERROR, STAGES[0], problem), protocol, code_sha256)

    async def _attempt(self, code: str, protocol: Protocol, code_sha256: str, batch: int) -> Evaluation:
        material = await self._material(protocol.dataset)
        order = secret_order(material.dataset.heldout_labels, code_sha256, protocol.sha256)
        heldout = await asyncio.to_thread(SharedArray.of, material.dataset.heldout_images[order])
        try:
            result = await self.sandbox.run(self._job(code, protocol, material, heldout, batch))
        finally:
            heldout.close()
        evaluation = self._measured(result, protocol, material, order, code_sha256)
        per_step = None
        if evaluation.stage == STAGES[-1] and "train" in evaluation.stage_seconds:
            per_step = evaluation.stage_seconds["train"] / steps(protocol, batch)
        return evaluation.model_copy(update={"batch": batch, "seconds_per_step": per_step})

    async def _material(self, spec: DatasetSpec) -> _Material:
        key = spec.model_dump_json()
        async with self._loading:
            if key not in self._materials:
                self._materials[key] = _Material.of(await asyncio.to_thread(self.load, spec))
            return self._materials[key]

    def _job(self, code: str, protocol: Protocol, material: _Material, heldout: SharedArray, batch: int) -> Job:
        count = len(material.dataset.heldout_labels)
        return Job(
            source=code.encode(),
            task=_task(
                protocol, material.dataset, batch=batch, threads=self.threads, memory_fraction=self.memory_fraction
            ),
            arrays=(*material.train, heldout),
            limits=protocol.limits,
            result_bytes=4 * count + 2 * frames.VERDICT_LIMIT,
        )

    def _measured(
        self, result: JobResult, protocol: Protocol, material: _Material, order: Order, code_sha256: str
    ) -> Evaluation:
        dataset, classes = material.dataset, protocol.dataset.classes
        reading = read(result, protocol.limits, count=len(order), classes=classes)
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
            accuracy, test = score(reading.predictions, dataset.heldout_labels, order, dataset.validation)
            measures |= {"accuracy": accuracy, "test_accuracy": test}
            if accuracy <= protocol.below_chance_factor / classes:
                detail = f"accuracy {accuracy:.3f}, chance is {1 / classes:.3f}"
                reading = reading._replace(outcome=Outcome.BELOW_CHANCE, detail=detail)
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
            **measures,
        )


def steps(protocol: Protocol, batch: int) -> int:
    """How many batches the protocol trains on."""
    return protocol.epochs * math.ceil(protocol.dataset.train / batch)


def _starved(evaluation: Evaluation) -> bool:
    """Whether a smaller batch might do."""
    return evaluation.outcome is Outcome.OUT_OF_MEMORY and evaluation.stage in ("train", "predict")


def unreadable(code: str) -> Reading | None:
    """What is wrong with the text before anyone parses it; parsing is left to the sandbox."""
    stage = STAGES[0]
    if "\0" in code:
        return Reading(Outcome.SYNTAX_ERROR, stage, "the source holds a NUL character")
    try:
        size = len(code.encode())
    except UnicodeEncodeError:
        return Reading(Outcome.SYNTAX_ERROR, stage, "the source is not valid UTF-8")
    if size > SOURCE_LIMIT:
        return Reading(Outcome.CONTRACT_ERROR, stage, f"{size} bytes of source, at most {SOURCE_LIMIT} are allowed")
    return None


def _task(protocol: Protocol, dataset: Dataset, **machine: Any) -> Task:
    given = protocol.normalise
    return Task(
        shape=protocol.input_shape,
        classes=protocol.dataset.classes,
        epochs=protocol.epochs,
        seed=protocol.seed,
        flip=protocol.flip,
        mean=given.mean if given is not None else tuple(dataset.mean.tolist()),
        std=given.std if given is not None else tuple(dataset.std.tolist()),
        hyperparameters=protocol.hyperparameters.model_dump(),
        resize=protocol.resize,
        autocast=protocol.precision == "bfloat16",
        channels_last=protocol.memory_format == "channels_last",
        **machine,
    )
