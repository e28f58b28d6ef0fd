"""From a protocol's `DatasetSpec` to a `Dataset`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from archloop.errors import InvalidInput, NotFound
from archloop.protocols.model import DatasetSpec
from services.evaluator.datasets import bundled, shapes
from services.evaluator.datasets.dataset import Dataset

_SOURCES: Mapping[str, Callable[[DatasetSpec], Dataset]] = MappingProxyType(
    {"digits": bundled.digits, "mnist5k": bundled.mnist5k, "shapes": shapes.generate}
)


def names() -> list[str]:
    """The data sets that need no download."""
    return sorted(_SOURCES)


def load(spec: DatasetSpec) -> Dataset:
    """The data set that a protocol names, split as it says. Raises NotFound, InvalidInput."""
    source = _SOURCES.get(spec.name)
    if source is None:
        raise NotFound("dataset", spec.name, ", ".join(names()))
    dataset = source(spec)
    _check_shape(spec, dataset)
    return dataset


def _check_shape(spec: DatasetSpec, dataset: Dataset) -> None:
    shape = dataset.train_images.shape[1:]
    if spec.shape != shape:
        raise InvalidInput(f"dataset.shape of {spec.name}", spec.shape, f"{shape}")
