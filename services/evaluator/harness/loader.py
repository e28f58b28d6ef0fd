"""The training data as LEMUR's nets meet it: an iterable of (inputs, labels) that gives one pass."""

from typing import Self

import torch
from torch import Tensor

from services.evaluator.harness.task import Task


class Normalise:
    """uint8 images to (x / 255 - mean) / std, float32, channel by channel."""

    def __init__(self, task: Task) -> None:
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (task.mean, task.std))
        self._scale, self._shift = 1 / (255 * std), mean / std

    def __call__(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in, the same shape out."""
        return images.to(torch.float32).mul_(self._scale).sub_(self._shift)


class Epoch:
    """One epoch, in an order fixed by the protocol's seed.

    Like LEMUR's own loader it is its own iterator: a second pass over it gives nothing. Inputs are
    float32 (B, C, H, W), labels int64 (B,). A last batch of a single image, which batch normalisation cannot
    train on, is left out.
    """

    def __init__(self, images: Tensor, labels: Tensor, task: Task, epoch: int) -> None:
        self._images, self._labels = images, labels
        self._random = torch.Generator().manual_seed(task.seed + epoch)
        batches = torch.split(torch.randperm(len(labels), generator=self._random), task.batch)
        self._batches = [batch for batch in batches if len(batch) > 1 or task.batch == 1]
        self._next = iter(self._batches)
        self._normalise, self._flip = Normalise(task), task.flip
        self.batch_size = task.batch

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        chosen = next(self._next)
        inputs = self._normalise(self._images[chosen])
        if self._flip:
            mirrored = torch.rand(len(chosen), generator=self._random) < 0.5
            inputs[mirrored] = inputs[mirrored].flip(-1)
        return inputs, self._labels[chosen]
