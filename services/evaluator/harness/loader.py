"""Training data in the form that LEMUR's nets expect: an iterable of (inputs, labels) for one pass."""

from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from services.evaluator.harness.network import CPU
from services.evaluator.harness.task import Task


class Normalise:
    """Turns uint8 images into (x / 255 - mean) / std, float32, for each channel, on the images' device.

    Before that they are resized to the task's square, if it has one, and flipped where told. Resizing is bilinear with
    antialiasing, on float32: to the bit what torchvision's Resize gives for float images, and within one of the 255
    levels of what it gives for PIL images and bytes, which it rounds on the way.
    """

    def __init__(
        self,
        task: Task,
        device: torch.device = CPU,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (task.mean, task.std))
        self._scale, self._shift = (1 / (255 * std)).to(device), (mean / std).to(device)
        self._side = task.resize
        self._format = memory_format

    def __call__(self, images: Tensor, mirrored: Tensor | None = None) -> Tensor:
        """Return the task's (N, C, H, W) for images (N, C, H, W); `mirrored`, bool (N,), says which to flip."""
        inputs = images.to(torch.float32, memory_format=self._format)
        if self._side is not None:
            inputs = interpolate(inputs, size=(self._side, self._side), mode="bilinear", antialias=True)
        if mirrored is not None:
            inputs = torch.where(mirrored.view(-1, 1, 1, 1), inputs.flip(-1), inputs)
        return inputs.mul_(self._scale).sub_(self._shift)


class Bar:
    """Progress bar that shows nothing; LEMUR's loader is one (tqdm), and nets call its methods."""

    n = 0
    disable = True
    desc = ""

    def said(self, *_args: Any, **_kwargs: Any) -> None:
        """Do nothing."""

    set_description = set_description_str = set_postfix = set_postfix_str = update = refresh = reset = said
    close = clear = display = unpause = moveto = write = said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Do nothing."""


class Epoch(Bar):
    """One epoch of batches, in an order fixed by the protocol's seed.

    Like LEMUR's own loader it is its own iterator: a second pass over it gives nothing. A batch is [inputs, labels]:
    float32 (B, C, H, W), labels int64 (B,), both on the images' device; order and flips are drawn on the CPU, and so
    are the same on any device. A last batch of a single image, which batch normalisation cannot train on, is left out.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        task: Task,
        epoch: int,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        self._images, self._labels = images, labels
        self._random = torch.Generator().manual_seed(task.seed + epoch)
        batches = torch.split(torch.randperm(len(labels), generator=self._random), task.batch)
        self._batches = [batch for batch in batches if len(batch) > 1 or task.batch == 1]
        self._next = iter(self._batches)
        self._normalise, self._flip = Normalise(task, images.device, memory_format), task.flip
        self.batch_size, self.total = task.batch, len(self._batches)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[Tensor]:
        batch, device = next(self._next), self._images.device
        mirrored = (torch.rand(len(batch), generator=self._random) < 0.5).to(device) if self._flip else None
        chosen = batch.to(device)
        self.n += 1
        return [self._normalise(self._images[chosen], mirrored), self._labels[chosen]]
