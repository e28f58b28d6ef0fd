"""The loss curve, taken where every training step passes: at `backward`. Advisory, like all that a child says."""

import math
from typing import Any

import torch

from services.evaluator.harness.frames import LOSS_POINTS


class LossTap:
    """Remembers the value of every scalar that `backward` is called on."""

    def __init__(self) -> None:
        self._values: list[float] = []

    def install(self) -> None:
        """For this process, which runs one candidate only."""
        original = torch.Tensor.backward

        def backward(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> None:
            if tensor.numel() == 1:
                self._values.append(float(tensor.detach()))
            original(tensor, *args, **kwargs)  # type: ignore[no-untyped-call]

        torch.Tensor.backward = backward  # type: ignore[method-assign,assignment]

    @property
    def diverged(self) -> bool:
        """Whether the last loss is no number."""
        return bool(self._values) and not math.isfinite(self._values[-1])

    def curve(self) -> list[float]:
        """At most 64 points, evenly spaced, the last one included."""
        finite = [value for value in self._values if math.isfinite(value)]
        step = max(1, math.ceil(len(finite) / LOSS_POINTS))
        return [round(value, 6) for value in finite[::-1][::step][::-1]]
