"""What the child is told to do: plain values that cross from the parent as JSON."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Task:
    """One epoch-wise training and its inputs. `shape` is (C, H, W); `mean` and `std` are per channel, in [0, 1].

    `device` is `cpu` or `cuda`, the only one that the child sees; `memory_fraction` is what it may take of that.
    `graph_only` is to end with the network's graph, untrained.
    `resize` is the side of the square that images are brought to, if they are; `shape` is what they have then.
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

    def encode(self) -> str:
        """To JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def decode(cls, text: str) -> Self:
        """From JSON."""
        values: dict[str, Any] = json.loads(text)
        for name in ("shape", "mean", "std"):
            values[name] = tuple(values[name])
        return cls(**values)

    def prm(self) -> dict[str, Any]:
        """LEMUR's `prm`: the hyper-parameters, and the names that its nets also look up."""
        epochs = {"epoch": self.epochs, "epoch_max": self.epochs}
        return {**self.hyperparameters, **epochs, "batch": self.batch, "transform": "norm"}
