"""What the child is to do: plain values that cross from the parent as JSON."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Task:
    """Training and prediction to carry out.

    `shape` is (C, H, W), after `resize`, which is the side in pixels of the square that images are resized to, if they
    are. `mean` and `std` are per channel, in [0, 1]. `device` is `cpu` or `cuda`, the only GPU that the child sees;
    `memory_fraction` is the share of its memory that the child may use. With `graph_only` the child ends after the
    network's graph, without training. `first` is how many of the training images to use, in their order; None is all.
    """

    shape: tuple[int, ...]
    classes: int
    batch: int
    epochs: int
    seed: int
    flip: bool
    threads: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    hyperparameters: dict[str, float]
    device: str = "cpu"
    memory_fraction: float = 1.0
    bfloat16: bool = False
    channels_last: bool = False
    resize: int | None = None
    graph_only: bool = False
    first: int | None = None

    def encode(self) -> str:
        """Write the task as JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read the task from JSON."""
        values: dict[str, Any] = json.loads(text)
        for name in ("shape", "mean", "std"):
            values[name] = tuple(values[name])
        return cls(**values)

    def prm(self) -> dict[str, Any]:
        """Return LEMUR's `prm`: the hyper-parameters, and the other names that its nets look up."""
        epochs = {"epoch": self.epochs, "epoch_max": self.epochs}
        return {**self.hyperparameters, **epochs, "batch": self.batch, "transform": "norm"}
