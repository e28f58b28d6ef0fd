"""The protocol file's schema. Its hash is part of every result's key: results are never mixed across protocols."""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from archloop import shipped
from archloop.contracts.base import Frozen, Sha256
from archloop.contracts.values import sha256_of
from archloop.errors import InvalidInput

_FOLDER = Path(__file__).parent
Positive = Annotated[int, Field(ge=1)]


class _Strict(Frozen):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatasetSpec(_Strict):
    """Which images, their (C, H, W) shape and number of classes, how many of each split, and the seed of the split.

    `sha256` binds the protocol to one preparation of a data set that does not ship, as `archloop data list` tells it.
    """

    name: str
    shape: tuple[Positive, Positive, Positive]
    classes: Annotated[int, Field(ge=2)]
    train: Positive
    validation: Positive
    test: Positive
    seed: int = 0
    options: dict[str, Any] = Field(default_factory=dict)
    sha256: Sha256 | None = None


class Hyperparameters(_Strict):
    """What the candidate's `prm` holds besides `batch`, `epoch` and `transform`."""

    lr: float = 0.01
    momentum: float = 0.9
    dropout: float = 0.2


class Limits(_Strict):
    """Bounds on one candidate. CPU seconds bind first; wall seconds catch sleepers."""

    cpu_seconds: float = 20.0
    wall_seconds: float = 60.0
    memory_bytes: Positive = 2 * 1024**3
    processes: Positive = 64
    tmpfs_bytes: Positive = 64 * 1024**2
    output_bytes: Positive = 64 * 1024


class Normalisation(_Strict):
    """Of images in [0, 1], channel by channel."""

    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0)], ...]


class Protocol(_Strict):
    """One way to score a network, by one-epoch training. Images are (C, H, W) float32, normalised.

    `precision` is that of torch's autocast. With `on_out_of_memory` a candidate that runs out of memory in training
    gets one more chance at half the batch, which its evaluation then records.
    `resize` brings each to a square of this side, as torchvision's Resize does; `normalise` is by these figures
    instead of the training images' own. `suspect_margin` is how far accuracies on the validation and the test split
    may lie apart beyond noise before the outcome is `suspect`: more than .03 where the splits are of different sources.
    """

    name: str
    version: Positive = 1
    description: str
    dataset: DatasetSpec
    batch: Positive = 32
    epochs: Positive = 1
    hyperparameters: Hyperparameters = Hyperparameters()
    flip: bool = False
    precision: Literal["bfloat16"] | None = None
    memory_format: Literal["channels_last"] | None = None
    on_out_of_memory: Literal["half_batch"] | None = None
    resize: Positive | None = None
    normalise: Normalisation | None = None
    seed: int = 0
    below_chance_factor: Annotated[float, Field(ge=1)] = 1.2
    suspect_margin: Annotated[float, Field(ge=0, le=1)] | None = None
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        channels, given = self.dataset.shape[0], self.normalise
        if given is not None and not len(given.mean) == len(given.std) == channels:
            raise ValueError(f"`normalise` takes {channels} figures each, one for every channel of `dataset.shape`")
        return self

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images that networks are given."""
        channels, height, width = self.dataset.shape
        return (channels, self.resize or height, self.resize or width)

    @property
    def sha256(self) -> str:
        """Hash of everything that can change a result; what is not given does not count, so new fields keep it."""
        return sha256_of(self.model_dump_json(exclude={"description"}, exclude_none=True))


def names() -> list[str]:
    """The protocols that ship with the project."""
    return shipped.names(_FOLDER)


@cache
def load(name: str) -> Protocol:
    """A shipped protocol by name, or any protocol file by path. Raises NotFound, InvalidInput."""
    path, text = shipped.read("protocol", name, _FOLDER)
    try:
        return Protocol.model_validate(yaml.safe_load(text))
    except (ValidationError, yaml.YAMLError) as error:
        raise InvalidInput(
            f"protocol file {path.name}", str(error), "a file like those in archloop/protocols"
        ) from error
