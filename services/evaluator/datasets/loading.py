"""From a protocol's `DatasetSpec` to a `Dataset`: bundled ones by name, any other from the store of prepared ones."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from archloop.errors import InvalidInput, NotFound
from archloop.protocols.model import DatasetSpec
from services.evaluator.datasets import bundled, prepared, shapes
from services.evaluator.datasets.dataset import Dataset
from services.evaluator.datasets.stored import stored
from services.evaluator.secret import Secret

_SOURCES: Mapping[str, Callable[[DatasetSpec, Secret], Dataset]] = MappingProxyType(
    {"digits": bundled.digits, "mnist5k": bundled.mnist5k, "shapes": shapes.generate}
)


def names() -> list[str]:
    """The data sets that need no download."""
    return sorted(_SOURCES)


def load(spec: DatasetSpec, root: Path, secret: Secret) -> Dataset:
    """The data set that a protocol names, split as it says; prepared ones are under `root`.

    What is held out of it follows the secret.

    Raises NotFound, InvalidInput, IntegrityError.
    """
    source = _SOURCES.get(spec.name)
    dataset = source(spec, secret) if source is not None else stored(spec, _prepared(spec.name, root), secret)
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
