"""On how many threads a decoder reads prompts, and on how many it steps."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from services.generator.modelserver.decoder import Decoder

_PROMPT, _SLOTS, _STEPS, _ROUNDS = 16, 8, 4, 2


@contextmanager
def running_on(count: int) -> Iterator[None]:
    """Compute on so many threads within the block; they are a setting of the thread that calls."""
    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def quicker(decoder: Decoder, most: int) -> int:
    """Return how many threads step a lone sequence faster, one or `most`, by trying both.

    A step is a thousand short operations. In a small model threads meet more often than they gain by it; in a large one
    they read its weights together.
    """
    if most == 1:
        return 1
    took = {1: math.inf, most: math.inf}
    for count in (1, most) * _ROUNDS:
        with running_on(count):
            took[count] = min(took[count], *_steps(decoder))
    return min(took, key=took.__getitem__)


def _steps(decoder: Decoder) -> list[float]:
    """Return the seconds of some steps after a short prompt."""
    cache, times, fed = decoder.cache(_SLOTS, _PROMPT + _STEPS), [], {0: [0]}
    with torch.inference_mode():
        _, states = decoder.prefill(list(range(_PROMPT)))
        cache.admit(0, states)
        for _ in range(_STEPS):
            began = time.perf_counter()
            cache.grow(fed)
            decoder.step(fed, cache)
            times.append(time.perf_counter() - began)
    return times
