"""From a protocol's `DatasetSpec` to a `Dataset`: bundled data sets by name, any other from the prepared ones."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from archloop.errors import InvalidInput, NotFound
from archloop.protocols.model import DatasetSpec
from services.evaluator.datasets import bundled, prepared, shapes
from services.evaluator.datasets.dataset import Dataset, Split, assemble
from services.evaluator.datasets.prepared import Manifest
from services.evaluator.secret import Secret

_SOURCES: Mapping[str, Callable[[DatasetSpec, Secret], Dataset]] = MappingProxyType(
    {"digits": bundled.digits, "mnist5k": bundled.mnist5k, "shapes": shapes.generate}
)


def names() -> list[str]:
    """Return the names of the data sets that need no download."""
    return sorted(_SOURCES)


def load(spec: DatasetSpec, root: Path, secret: Secret) -> Dataset:
    """Return the data set that a protocol names, split as it says; prepared ones are read from `root`.

    What is held out of it depends on the secret. Raises NotFound, InvalidInput, IntegrityError.
    """
    source = _SOURCES.get(spec.name)
    dataset = source(spec, secret) if source is not None else _of_prepared(spec, _prepared(spec.name, root), secret)
    _check_shape(spec, dataset)
    return dataset


def _prepared(name: str, root: Path) -> Path:
    path = prepared.folder(root, name)
    if not path.is_dir():
        known = f"{', '.join(names())}, and nothing at {path}: `archloop data prepare {name}` puts it there"
        raise NotFound("dataset", name, known)
    return path


def _check_shape(spec: DatasetSpec, dataset: Dataset) -> None:
    shape = dataset.train_images.shape[1:]
    if spec.shape != shape:
        raise InvalidInput(f"dataset.shape of {spec.name}", spec.shape, f"{shape}")


def _of_prepared(spec: DatasetSpec, path: Path, secret: Secret) -> Dataset:
    """Take training and validation images from the official training split, test images from the official test split.

    Which of them are taken depends on the secret. Raises InvalidInput, IntegrityError.
    """
    found = prepared.opened(path)
    _check_prepared(spec, found.manifest)
    rng = secret.generator("split", f"{spec.name}/{spec.seed}")
    order = _proportional_order(found.train.labels, rng)
    train, validation = np.split(order[: spec.train + spec.validation], [spec.train])
    test = _proportional_order(found.test.labels, rng)[: spec.test]
    return assemble(_taken(found.train, train), [_taken(found.train, validation), _taken(found.test, test)])


def _taken(split: Split, chosen: NDArray[np.intp]) -> Split:
    """Copy these images into memory."""
    return Split(np.asarray(split.images[chosen]), np.asarray(split.labels[chosen]))


def _check_prepared(spec: DatasetSpec, manifest: Manifest) -> None:
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
    """Return a random order in which every stretch holds the classes in the shares of the whole."""
    shuffled = rng.permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        place[members] = (np.arange(len(members)) + rng.random(len(members))) / len(members)
    return np.argsort(place, kind="stable")
