"""A protocol's `DatasetSpec` met from a prepared data set."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archloop.errors import InvalidInput
from archloop.protocols.model import DatasetSpec
from services.evaluator.datasets import prepared
from services.evaluator.datasets.dataset import Dataset, Split, assemble
from services.evaluator.datasets.prepared import Manifest
from services.evaluator.secret import Secret


def stored(spec: DatasetSpec, path: Path, secret: Secret) -> Dataset:
    """Training and validation images from the official training split, test images from the official test split.

    Which of them only the secret knows. Raises InvalidInput, IntegrityError.
    """
    found = prepared.opened(path)
    _check(spec, found.manifest)
    rng = secret.generator("split", f"{spec.name}/{spec.seed}")
    order = _proportional_order(found.train.labels, rng)
    train, validation = np.split(order[: spec.train + spec.validation], [spec.train])
    test = _proportional_order(found.test.labels, rng)[: spec.test]
    return assemble(_taken(found.train, train), [_taken(found.train, validation), _taken(found.test, test)])


def _taken(split: Split, chosen: NDArray[np.intp]) -> Split:
    """A copy in memory of these images."""
    return Split(np.asarray(split.images[chosen]), np.asarray(split.labels[chosen]))


def _check(spec: DatasetSpec, manifest: Manifest) -> None:
    name, counts = spec.name, manifest.counts
    wanted = {"train + validation": (spec.train + spec.validation, "train"), "test": (spec.test, "test")}
    for field, (asked, split) in wanted.items():
        if asked > counts[split]:
            raise InvalidInput(f"dataset.{field} of {name}", asked, f"at most the {counts[split]} of its {split} split")
    if spec.classes != len(manifest.classes):
        raise InvalidInput(f"dataset.classes of {name}", spec.classes, str(len(manifest.classes)))
    if spec.options:
        raise InvalidInput(f"dataset.options of {name}", spec.options, "none")
    if spec.sha256 not in (None, manifest.sha256):
        raise InvalidInput(f"dataset.sha256 of {name}", spec.sha256, f"{manifest.sha256}, of what was prepared here")


def _proportional_order(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.intp]:
    """A random order of which every stretch holds the classes in the shares that they have in the whole."""
    shuffled = rng.permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        place[members] = (np.arange(len(members)) + rng.random(len(members))) / len(members)
    return np.argsort(place, kind="stable")
