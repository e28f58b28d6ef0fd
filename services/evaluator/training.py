"""One training of a candidate: how much of the protocol's it is, and the task that the child is given for it."""

import math
from dataclasses import dataclass

from archloop.protocols.model import Limits, Protocol
from services.evaluator.datasets import Dataset
from services.evaluator.harness.task import Task


@dataclass(frozen=True)
class Training:
    """Training under a protocol: at this batch, within these limits, on so many of the training images."""

    protocol: Protocol
    batch: int
    limits: Limits
    images: int

    @property
    def steps(self) -> int:
        """The number of batches that are trained on."""
        return self.protocol.epochs * math.ceil(self.images / self.batch)

    def task(self, dataset: Dataset, threads: int, memory_fraction: float) -> Task:
        """Return what the child is to do."""
        protocol, given = self.protocol, self.protocol.normalise
        return Task(
            shape=protocol.input_shape,
            classes=protocol.dataset.classes,
            batch=self.batch,
            epochs=protocol.epochs,
            seed=protocol.seed,
            flip=protocol.flip,
            threads=threads,
            mean=given.mean if given is not None else tuple(dataset.mean.tolist()),
            std=given.std if given is not None else tuple(dataset.std.tolist()),
            hyperparameters=protocol.hyperparameters.model_dump(),
            memory_fraction=memory_fraction,
            resize=protocol.resize,
            bfloat16=protocol.precision == "bfloat16",
            channels_last=protocol.memory_format == "channels_last",
            first=self.images if self.images < protocol.dataset.train else None,
        )


def whole(protocol: Protocol) -> Training:
    """Return the protocol's own training."""
    return Training(protocol, protocol.batch, protocol.limits, protocol.dataset.train)
