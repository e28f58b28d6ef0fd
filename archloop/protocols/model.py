"""The protocol file's schema. Its hash is part of every result's key: results are never mixed across protocols."""

import math
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from archloop import catalogue
from archloop.contracts.base import Frozen, Sha256
from archloop.contracts.numbers import NUMBER, Bytes, Count, Few, Seed, Share
from archloop.contracts.texts import LongText
from archloop.contracts.values import sha256_of
from archloop.validation import checked, parsed

_SEEDS = 2**31
_FOLDER = Path(__file__).parent


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("characters that can be printed, in one line")
    return text


DATASET_NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"
_MOST_BYTES = 2**40
_SHORTEST_S = 0.1
_LEAST_MEMORY = 16 * 1024**2
Side = Annotated[int, Field(ge=1, le=4096), NUMBER]
Images = Annotated[int, Field(ge=1, le=100_000_000), NUMBER]
Time = Annotated[float, Field(ge=_SHORTEST_S, le=1e8, allow_inf_nan=False), NUMBER]
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]


class _Strict(Frozen):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DatasetSpec(_Strict):
    """Which images, their (C, H, W) shape and number of classes, how many of each split, and the seed of the split.

    `sha256` binds the protocol to one preparation of a data set that does not ship, as `archloop data list` tells it.
    """

    name: Annotated[str, Field(pattern=DATASET_NAME)]
    shape: tuple[Side, Side, Side]
    classes: Annotated[int, Field(ge=2, le=1_000_000), NUMBER]
    train: Images
    validation: Images
    test: Images
    seed: Seed = 0
    options: dict[str, Any] = Field(default_factory=dict)
    sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _fits_into_a_machine(self) -> Self:
        needed = (self.train + self.validation + self.test) * math.prod(self.shape)
        if needed > _MOST_BYTES:
            raise ValueError(f"train, validation and test of at most {_MOST_BYTES} bytes in all, not {needed}")
        return self


class Hyperparameters(_Strict):
    """What the candidate's `prm` holds besides `batch`, `epoch` and `transform`."""

    lr: Annotated[float, Field(gt=0, le=100), NUMBER] = 0.01
    momentum: Share = 0.9
    dropout: Share = 0.2


class Limits(_Strict):
    """Bounds on one candidate. CPU seconds bind first; wall seconds catch sleepers.

    Less memory or time than the least would stop every network, and say nothing of it.
    """

    cpu_seconds: Time = 20.0
    wall_seconds: Time = 60.0
    memory_bytes: Annotated[int, Field(ge=_LEAST_MEMORY, le=2**44), NUMBER] = 2 * 1024**3
    processes: Annotated[int, Field(ge=1, le=32_768), NUMBER] = 64
    tmpfs_bytes: Bytes = 64 * 1024**2
    output_bytes: Annotated[int, Field(ge=1, le=2**30), NUMBER] = 64 * 1024


class Normalisation(_Strict):
    """The mean and standard deviation by which images in [0, 1] are normalised, channel by channel."""

    mean: tuple[Annotated[float, Field(ge=-1000, le=1000), NUMBER], ...]
    std: tuple[Annotated[float, Field(ge=1e-6, le=1000), NUMBER], ...]


class Ladder(_Strict):
    """Training by steps, as in successive halving: on this `share` of the training images first.

    Only candidates whose accuracy then reaches the `quantile` of what the run has seen there are trained on all.
    """

    share: Annotated[float, Field(gt=0, lt=1), NUMBER] = 0.25
    quantile: Annotated[float, Field(gt=0, lt=1), NUMBER] = 0.5


class Protocol(_Strict):
    """One way to score a network, by one-epoch training. Images are (C, H, W) float32, normalised.

    `precision` is that of torch's autocast. With `on_out_of_memory` a candidate that runs out of memory in training
    gets one more chance at half the batch, which its evaluation then records.
    `resize` brings each to a square of this side, as torchvision's Resize does; `normalise` is by these figures
    instead of the training images' own. `suspect_margin` is how far accuracies on the validation and the test split
    may lie apart beyond noise before the outcome is `suspect`: more than .03 where the splits are of different sources.
    With a `ladder` a candidate of a run is first trained on a part of the images, and on all only if that is promising.
    """

    name: Name
    version: Count = 1
    description: LongText
    dataset: DatasetSpec
    batch: Annotated[int, Field(ge=1, le=65_536), NUMBER] = 32
    epochs: Few = 1
    hyperparameters: Hyperparameters = Hyperparameters()
    flip: bool = False
    precision: Literal["bfloat16"] | None = None
    memory_format: Literal["channels_last"] | None = None
    on_out_of_memory: Literal["half_batch"] | None = None
    resize: Side | None = None
    normalise: Normalisation | None = None
    seed: Seed = 0
    below_chance_factor: Annotated[float, Field(ge=1, le=1_000_000), NUMBER] = 1.2
    suspect_margin: Share | None = None
    ladder: Ladder | None = None
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        channels, given = self.dataset.shape[0], self.normalise
        if given is not None and not len(given.mean) == len(given.std) == channels:
            raise ValueError(f"`normalise` takes {channels} figures each, one for every channel of `dataset.shape`")
        if self.below_chance_factor > self.dataset.classes:
            raise ValueError(f"a below_chance_factor that can be reached: at most the {self.dataset.classes} classes")
        return self

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images that networks are given."""
        channels, height, width = self.dataset.shape
        return (channels, self.resize or height, self.resize or width)

    @property
    def chance_line(self) -> float:
        """The accuracy that a valid network exceeds."""
        return self.below_chance_factor / self.dataset.classes

    def reseeded(self, seed: int) -> Self:
        """Return the protocol with another training seed."""
        return self.model_copy(update={"name": f"{self.name}, seed {seed}", "seed": seed})

    def other_seeds(self, count: int) -> list[int]:
        """Return so many training seeds that it does not use itself."""
        return [(self.seed + number) % _SEEDS for number in range(1, count + 1)]

    @property
    def sha256(self) -> str:
        """Hash of everything that can change a result; fields not given are left out, so that new fields keep it."""
        return sha256_of(self.model_dump_json(exclude={"description"}, exclude_none=True))


def names() -> list[str]:
    """Return the names of the protocols that ship with the project."""
    return catalogue.names(_FOLDER)


@cache
def load(name: str) -> Protocol:
    """Read a shipped protocol by name, or any protocol file by path. Raises NotFound, InvalidInput."""
    path, text = catalogue.read("protocol", name, _FOLDER)
    return checked(Protocol, parsed(text, path.name), path.name)
