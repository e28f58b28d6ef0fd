"""Data that the evaluator trains and scores with: four arrays, their statistics and their hash."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
_PIXELS_AT_ONCE = 2**22


@dataclass(frozen=True, eq=False)
class Split:
    """Images uint8 (N, C, H, W) with their labels int64 (N,)."""

    images: Images
    labels: Labels


@dataclass(frozen=True, eq=False)
class Dataset:
    """Data set with its splits. Equal specs give equal bytes under the same secret.

    Images are uint8 (N, C, H, W), labels int64 (N,) in [0, classes). The first `validation` of the held-out images are
    the validation split, the rest the test split; `public` says whether they can be had elsewhere, with their labels.
    `mean` and `std`, float32 (C,), are those of the training images scaled to [0, 1]; `std` is never zero.
    """

    train_images: Images
    train_labels: Labels
    heldout_images: Images
    heldout_labels: Labels
    validation: int
    public: bool = True
    mean: NDArray[np.float32] = field(init=False)
    std: NDArray[np.float32] = field(init=False)
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        mean, std = _statistics(self.train_images)
        object.__setattr__(self, "mean", mean.astype(np.float32))
        object.__setattr__(self, "std", np.maximum(std, 1e-3).astype(np.float32))
        object.__setattr__(self, "sha256", self._hash())

    def _hash(self) -> str:
        digest = hashlib.sha256(f"validation={self.validation}".encode())
        for array in (self.train_images, self.train_labels, self.heldout_images, self.heldout_labels):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data.cast("B"))
        return digest.hexdigest()


def assemble(train: Split, heldout: Sequence[Split], *, public: bool = True) -> Dataset:
    """Join a training split with (validation, test) into a data set."""
    return Dataset(
        train_images=train.images,
        train_labels=train.labels,
        heldout_images=np.concatenate([split.images for split in heldout]),
        heldout_labels=np.concatenate([split.labels for split in heldout]),
        validation=len(heldout[0].labels),
        public=public,
    )


def _statistics(images: Images) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation (C,) of the pixels in [0, 1].

    They are computed from counts of the 256 levels, without a copy of the images as floats.
    """
    levels = (np.arange(256, dtype=np.uint8) / np.float32(255)).astype(np.float64)
    counts = _counts(images)
    total = counts.sum(1)
    mean = counts @ levels / total
    variance = (counts * (levels - mean[:, None]) ** 2).sum(1) / total
    return mean, np.sqrt(variance)


def _counts(images: Images) -> NDArray[np.int64]:
    """Count how often each level occurs in each channel: (C, 256)."""
    channels = images.shape[1]
    at_once = max(1, _PIXELS_AT_ONCE // max(1, images[:1].size))
    counts = np.zeros((channels, 256), dtype=np.int64)
    for start in range(0, len(images), at_once):
        for channel in range(channels):
            counts[channel] += np.bincount(images[start : start + at_once, channel].ravel(), minlength=256)
    return counts
