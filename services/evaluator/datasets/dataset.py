"""What the evaluator trains and scores with: four arrays, their statistics and their hash."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """Images uint8 (N, C, H, W) with their labels int64 (N,)."""

    images: Images
    labels: Labels


@dataclass(frozen=True, eq=False)
class Dataset:
    """One data set, split. Equal specs give equal bytes.

    Images are uint8 (N, C, H, W), labels int64 (N,) in [0, classes). The first `validation` of the held-out images are
    the validation split, the rest the test split. `mean` and `std`, float32 (C,), are those of the training images
    scaled to [0, 1]; `std` is never zero.
    """

    train_images: Images
    train_labels: Labels
    heldout_images: Images
    heldout_labels: Labels
    validation: int
    mean: NDArray[np.float32] = field(init=False)
    std: NDArray[np.float32] = field(init=False)
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        pixels = self.train_images / np.float32(255)
        axes = (0, 2, 3)
        object.__setattr__(self, "mean", pixels.mean(axes, dtype=np.float64).astype(np.float32))
        object.__setattr__(self, "std", np.maximum(pixels.std(axes, dtype=np.float64), 1e-3).astype(np.float32))
        object.__setattr__(self, "sha256", self._hash())

    def _hash(self) -> str:
        digest = hashlib.sha256(f"validation={self.validation}".encode())
        for array in (self.train_images, self.train_labels, self.heldout_images, self.heldout_labels):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def assemble(train: Split, heldout: Sequence[Split]) -> Dataset:
    """Join a training split with (validation, test) into a data set."""
    return Dataset(
        train_images=train.images,
        train_labels=train.labels,
        heldout_images=np.concatenate([split.images for split in heldout]),
        heldout_labels=np.concatenate([split.labels for split in heldout]),
        validation=len(heldout[0].labels),
    )
