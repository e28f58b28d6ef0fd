"""The verified score: accuracy of the predictions, and whether validation and test split agree.

Held-out labels stay in this process. The child sees held-out images in an order that only this side knows, and answers
in that order; what it claims about its own accuracy is ignored.
"""

from math import hypot, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Permutation = NDArray[np.intp]
MARGIN = 0.03
_SIGMAS = 4.0


class Score(NamedTuple):
    """Shares of right predictions, in [0, 1]."""

    validation: float
    test: float


def answers(payload: bytes, count: int, classes: int) -> NDArray[Any]:
    """Return the predicted classes (N,).

    Raises ValueError unless `payload` is `count` little-endian int32 in [0, classes).
    """
    if len(payload) != 4 * count:
        raise ValueError(f"{len(payload)} bytes of predictions, expected {4 * count}")
    predicted = np.frombuffer(payload, "<i4")
    if predicted.min() < 0 or predicted.max() >= classes:
        raise ValueError(f"a prediction outside of 0 … {classes - 1}")
    return predicted


def score(predicted: NDArray[Any], labels: Labels, order: Permutation, validation: int) -> Score:
    """Return the accuracies of predictions (N,) on both splits.

    `labels` (N,) are in the data set's order, the first `validation` of them the validation split; prediction i is for
    image `order[i]`.
    """
    right = np.empty(len(labels), bool)
    right[order] = predicted == labels[order]
    return Score(float(right[:validation].mean()), float(right[validation:].mean()))


def differ(found: Score, validation: int, test: int, margin: float = MARGIN) -> bool:
    """Return whether the two shares lie further apart than `margin` beyond noise.

    `validation` and `test` are the numbers of images. A network that has learnt does as well on images of one draw as
    of another; one that knows some of the images does not. `margin` allows for splits that somebody else drew and that
    differ a little. Noise is four standard errors, by Newcombe's interval from Wilson's of both (1998, method 10) with
    Yates' correction, so that it holds for few images and for shares near 0 and 1.
    """
    low, high = sorted([(found.validation, validation), (found.test, test)])
    noise = hypot(high[0] - _wilson(*high)[0], _wilson(*low)[1] - low[0]) + (1 / validation + 1 / test) / 2
    return high[0] - low[0] - noise > margin


def _wilson(share: float, count: int) -> tuple[float, float]:
    """Return Wilson's score interval at four standard errors."""
    z2 = _SIGMAS**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = sqrt(share * (1 - share) / count + z2 / (4 * count**2)) * _SIGMAS / (1 + z2 / count)
    return middle - half, middle + half
