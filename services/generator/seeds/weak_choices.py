"""Weak choices as a generic LLM makes them: they build and run, and learn little in one epoch."""

import random
from enum import StrEnum


class WeakChoice(StrEnum):
    """Choice that costs accuracy."""

    NO_NORM = "no normalisation"
    TIMID_RATE = "learning rate scaled down"
    DAMPENED = "momentum dampened"
    OVER_DECAY = "too much weight decay"
    HARD_CLIP = "gradients clipped too hard"
    CONSTANT_INIT = "constant initial weights"
    SATURATING = "saturating activation"
    HEAVY_DROPOUT = "heavy dropout"
    EARLY_POOLING = "pooled too early"
    NARROW = "too narrow"


WEIGHTS: dict[WeakChoice, float] = {
    WeakChoice.TIMID_RATE: 4,
    WeakChoice.DAMPENED: 4,
    WeakChoice.HARD_CLIP: 3,
    WeakChoice.CONSTANT_INIT: 1.5,
    WeakChoice.NO_NORM: 0.8,
    WeakChoice.OVER_DECAY: 0.3,
    WeakChoice.HEAVY_DROPOUT: 0.3,
    WeakChoice.SATURATING: 0.3,
    WeakChoice.EARLY_POOLING: 0.15,
    WeakChoice.NARROW: 0.15,
}
COUNTS = {0: 0.03, 1: 0.60, 2: 0.32, 3: 0.05}


def draw(rng: random.Random) -> frozenset[WeakChoice]:
    """Draw the weak choices of one author, mostly one or two."""
    count = rng.choices(list(COUNTS), list(COUNTS.values()))[0]
    chosen: set[WeakChoice] = set()
    while len(chosen) < count:
        chosen.add(rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0])
    return frozenset(chosen)
