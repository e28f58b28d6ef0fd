"""An evaluator on the slots of one GPU, and the images that it scores on."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from archloop import protocols
from archloop.contracts.values import Evaluation
from archloop.protocols import Protocol
from archloop.protocols.model import DatasetSpec
from benchmarks.evaluator import Watched
from benchmarks.gpu.data import IMAGES
from benchmarks.gpu.given import Given
from services.evaluator import datasets
from services.evaluator.datasets.dataset import Dataset, Split, assemble
from services.evaluator.evaluator import Evaluator
from services.evaluator.sandbox.client import ForkServerSandbox
from services.evaluator.secret import PUBLISHED, Secret

SECRET = Secret.of(PUBLISHED)
_LONG = {"cpu_seconds": 300.0, "wall_seconds": 300.0, "memory_bytes": 8 * 1024**3}


@dataclass(frozen=True)
class Bench:
    """A running evaluator whose sandbox tells of its last job."""

    evaluator: Evaluator
    watched: Watched

    @classmethod
    @asynccontextmanager
    async def of(cls, given: Given, slots: int = 1, memory_fraction: float = 1.0) -> AsyncIterator["Bench"]:
        """With this many slots on the GPU, each of which may take that share of its memory."""
        watched = Watched(ForkServerSandbox([given.device] * slots))
        evaluator = Evaluator(watched, loading(given), SECRET, memory_fraction=memory_fraction)
        try:
            await watched.inner.start()
            yield cls(evaluator, watched)
        finally:
            await watched.inner.close()
            await evaluator.close()

    async def scored(self, code: str, protocol: Protocol) -> Evaluation:
        """Evaluate what must go well. Raises RuntimeError with what became of it."""
        told = await self.evaluator.evaluate(code, protocol)
        if told.outcome not in ("ok", "below_chance"):
            raise RuntimeError(f"{told.outcome} in {told.stage}: {told.detail}")
        return told


def cifar(given: Given, *, train: int, **changed: Any) -> Protocol:
    """`cifar10` with so many training images, and time enough; dry, with few."""
    full = protocols.load("cifar10")
    heldout = given.few(32, 2000)
    counts = {"name": IMAGES if given.data else "synthetic", "train": train, "validation": heldout, "test": heldout}
    dataset = full.dataset.model_copy(update=counts)
    limits = full.limits.model_copy(update=_LONG)
    return full.model_copy(update={"dataset": dataset, "limits": limits, **changed})


def loading(given: Given) -> Callable[[DatasetSpec], Dataset]:
    """Return how images are loaded: prepared ones where there are any, else drawn."""
    root = given.data or Path()
    load = partial(datasets.load, root=root, secret=SECRET)
    return lambda spec: drawn(spec) if spec.name == "synthetic" else load(spec)


def drawn(spec: DatasetSpec) -> Dataset:
    """Return noise with one bright square, whose place and colour are the class's."""
    return assemble(_split(spec, spec.train, 0), [_split(spec, spec.validation, 1), _split(spec, spec.test, 2)])


def _split(spec: DatasetSpec, count: int, seed: int) -> Split:
    random = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % spec.classes
    images = random.integers(0, 120, (count, *spec.shape), dtype=np.uint8)
    side = spec.shape[1] // 4
    for image, label in zip(images, labels.tolist(), strict=True):
        row, column = divmod(label, 4)
        image[label % spec.shape[0], side * row : side * (row + 1), side * column : side * (column + 1)] += 130
    return Split(images, labels)
