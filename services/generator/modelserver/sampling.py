"""Choice of the next token of one sequence, from its own logits and its own stream of random numbers alone."""

import math
import random
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.generator.modelserver.guide import Guide

Logits = NDArray[np.float32]


class Choice(NamedTuple):
    """Token and its log-probability under the distribution that it was drawn from."""

    token: int
    logprob: float


@dataclass(frozen=True)
class Sampling:
    """Decoding parameters of TGI; decoding is greedy if all of them are None."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    do_sample: bool = False

    @property
    def greedy(self) -> bool:
        """Whether decoding is greedy; any of the parameters counts as sampling, as in TGI."""
        return not (self.do_sample or self.temperature or self.top_k or self.top_p)


class Sampler:
    """Draws by inverse CDF, summed in float64, with one uniform number for each step; where there is a guide, by it."""

    def __init__(self, sampling: Sampling, seed: int, guide: Guide | None = None) -> None:
        self._sampling, self._guide = sampling, guide
        self._random = random.Random(seed)  # noqa: S311 - reproducible on purpose

    def choose(self, logits: Logits) -> Choice:
        """Return the next token, given the last position's logits (V,)."""
        if self._guide is None:
            return self._drawn(logits)
        choice = self._drawn(self._guide.masked(logits))
        self._guide.accept(choice.token)
        return choice

    def _drawn(self, logits: Logits) -> Choice:
        weights = np.exp((logits - logits.max()) / np.float32(self._sampling.temperature or 1.0))
        if self._sampling.greedy:
            return _choice(weights, int(weights.argmax()), float(weights.sum(dtype=np.float64)))
        likely = _nucleus(_top(weights, self._sampling.top_k), self._sampling.top_p)
        cumulated = weights[likely].cumsum(dtype=np.float64)
        total = float(cumulated[-1])
        point = min(self._random.random() * total, np.nextafter(total, 0.0))
        return _choice(weights, int(likely[cumulated.searchsorted(point, side="right")]), total)


def _choice(weights: Logits, token: int, total: float) -> Choice:
    return Choice(token, math.log(weights[token] / total))


def _top(weights: Logits, k: int | None) -> Logits:
    """Keep the k heaviest weights, and those that tie with the k-th; set the others to 0."""
    if k is None or k >= weights.size:
        return weights
    return np.where(weights >= np.partition(weights, -k)[-k], weights, np.float32(0.0))


def _nucleus(weights: Logits, mass: float | None) -> NDArray[np.intp]:
    """Return the fewest heaviest tokens that together reach the share `mass`, and those that tie with the last.

    All tokens lighter than (1 - mass) / V of the total together weigh less than what may be left out, so they are left
    out before the rest is sorted: of a large vocabulary seldom more than a few dozen stay.
    """
    if mass is None:
        return np.flatnonzero(weights)
    total = weights.sum(dtype=np.float64)
    candidates = np.flatnonzero(weights >= total * (1 - mass) / weights.size)
    heavy = weights[candidates]
    falling = np.sort(heavy)[::-1]
    last = min(int(falling.cumsum(dtype=np.float64).searchsorted(mass * total)), falling.size - 1)
    kept: NDArray[np.intp] = candidates[heavy >= falling[last]]
    return kept
