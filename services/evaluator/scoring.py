"""The verified score: the order in which held-out images are shown, and the accuracy of the answers.

Held-out labels stay here. The child sees held-out images in an order that only this side knows, and answers in
that order; nothing that it says about its own accuracy is heard.
"""

import hashlib
import hmac
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Order = NDArray[np.intp]


class Score(NamedTuple):
    """Shares of right answers, in [0, 1]."""

    validation: float
    test: float


def secret_order(labels: Labels, code_sha256: str, protocol_sha256: str) -> Order:
    """A permutation of the held-out images for one code under one protocol.

    The key is the held-out labels themselves: secret from every candidate by construction, and the same after a
    restart, so that a network whose answer depends on the rest of its batch is still scored the same twice.
    """
    subject = f"{code_sha256}/{protocol_sha256}".encode()
    digest = hmac.digest(labels.tobytes(), subject, hashlib.sha256)
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest))).permutation(len(labels))


def answers(payload: bytes, count: int, classes: int) -> NDArray[Any]:
    """The predicted classes. Raises ValueError unless they are `count` little-endian int32 in [0, classes)."""
    if len(payload) != 4 * count:
        raise ValueError(f"{len(payload)} bytes of predictions, expected {4 * count}")
    predicted = np.frombuffer(payload, "<i4")
    if predicted.min() < 0 or predicted.max() >= classes:
        raise ValueError(f"a prediction outside of 0 … {classes - 1}")
    return predicted


def score(predicted: NDArray[Any], labels: Labels, order: Order, validation: int) -> Score:
    """`predicted` is in `order`; the first `validation` of `labels` are the validation split."""
    right = np.empty(len(labels), bool)
    right[order] = predicted == labels[order]
    return Score(float(right[:validation].mean()), float(right[validation:].mean()))
