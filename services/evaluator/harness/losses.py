"""The loss curve, taken where every training step passes: at `backward`. Advisory, like all that a child sends."""

import math
from typing import Any

import torch
from torch import Tensor

from services.evaluator.harness.frames import LOSS_POINTS

_UNSCALED = "_loss_before_scaling"


class LossTap:
    """Remembers the value of every scalar that is differentiated."""

    def __init__(self) -> None:
        self._values: list[float] = []

    def install(self) -> None:
        """Watch all backward passes of this process, which runs one candidate only."""
        differentiate, scale = torch.autograd.backward, torch.amp.GradScaler.scale

        def backward(tensors: Any, *args: Any, **kwargs: Any) -> None:
            for tensor in [tensors] if isinstance(tensors, Tensor) else ():
                self._note(tensor)
            differentiate(tensors, *args, **kwargs)

        def scaled(scaler: Any, outputs: Any) -> Any:
            result = scale(scaler, outputs)
            if isinstance(outputs, Tensor) and isinstance(result, Tensor):
                setattr(result, _UNSCALED, outputs.detach())
            return result

        torch.autograd.backward = backward
        torch.amp.GradScaler.scale = scaled  # type: ignore[method-assign,assignment]

    def reset(self) -> None:
        """Forget all values, because the training starts again."""
        self._values.clear()

    def curve(self) -> list[float]:
        """Return at most 64 losses, evenly spaced, the last one included."""
        finite = [value for value in self._values if math.isfinite(value)]
        step = max(1, math.ceil(len(finite) / LOSS_POINTS))
        return [round(value, 6) for value in finite[::-1][::step][::-1]]

    def _note(self, tensor: Tensor) -> None:
        if tensor.numel() == 1:
            self._values.append(float(getattr(tensor, _UNSCALED, tensor.detach())))
