"""Choosing the next token of one sequence, from its own logits and its own stream of random numbers alone."""

import random
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class Choice(NamedTuple):
    """A token and its log-probability under the distribution that it was drawn from."""

    token: int
    logprob: float


@dataclass(frozen=True)
class Sampling:
    """TGI's decoding parameters; all of them None is greedy decoding."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    do_sample: bool = False

    @property
    def greedy(self) -> bool:
        """Any of the parameters counts as sampling, as in TGI."""
        return not (self.do_sample or self.temperature or self.top_k or self.top_p)


class Sampler:
    """Draws by inverse CDF in float64, one uniform number a step."""

    def __init__(self, sampling: Sampling, seed: int) -> None:
        self._sampling = sampling
        self._random = random.Random(seed)  # noqa: S311 - reproducible on purpose

    def choose(self, logits: NDArray[np.float32]) -> Choice:
        """The next token, given the last position's logits (V,)."""
        probabilities = _softmax(logits.astype(np.float64) / (self._sampling.temperature or 1.0))
        if self._sampling.greedy:
            return _choice(probabilities, int(probabilities.argmax()))
        probabilities = _nucleus(_top(probabilities, self._sampling.top_k), self._sampling.top_p)
        cumulated = probabilities.cumsum()
        point = min(self._random.random() * cumulated[-1], np.nextafter(cumulated[-1], 0.0))
        return _choice(probabilities / cumulated[-1], int(cumulated.searchsorted(point, side="right")))


def _choice(probabilities: Vector, token: int) -> Choice:
    return Choice(token, float(np.log(probabilities[token])))


def _softmax(scores: Vector) -> Vector:
    weights = np.exp(scores - scores.max())
    normalised: Vector = weights / weights.sum()
    return normalised


def _top(probabilities: Vector, k: int | None) -> Vector:
    """Only the k most probable tokens, and those that tie with the k-th."""
    if k is None or k >= probabilities.size:
        return probabilities
    return _at_least(probabilities, np.partition(probabilities, -k)[-k])


def _nucleus(probabilities: Vector, mass: float | None) -> Vector:
    """Only the fewest most probable tokens that together reach `mass`, and those that tie with the last."""
    if mass is None:
        return probabilities
    falling = np.sort(probabilities)[::-1]
    cumulated = falling.cumsum()
    return _at_least(probabilities, falling[cumulated.searchsorted(mass * cumulated[-1])])


def _at_least(probabilities: Vector, least: np.float64) -> Vector:
    kept: Vector = np.where(probabilities >= least, probabilities, 0.0)
    return kept
