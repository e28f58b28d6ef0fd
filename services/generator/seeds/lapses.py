"""Bad taste, as a generic LLM has it: choices that build and run, and learn little in one epoch."""

import random
from enum import StrEnum


class Lapse(StrEnum):
    """One such choice."""

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


WEIGHTS: dict[Lapse, float] = {
    Lapse.NO_NORM: 2,
    Lapse.TIMID_RATE: 4,
    Lapse.DAMPENED: 2.5,
    Lapse.OVER_DECAY: 0.7,
    Lapse.HARD_CLIP: 1.2,
    Lapse.CONSTANT_INIT: 3,
    Lapse.SATURATING: 0.4,
    Lapse.HEAVY_DROPOUT: 1,
    Lapse.EARLY_POOLING: 0.4,
    Lapse.NARROW: 0.4,
}
COUNTS = {0: 0.05, 1: 0.37, 2: 0.45, 3: 0.13}


def draw(rng: random.Random) -> frozenset[Lapse]:
    """The lapses of one author, mostly one or two."""
    count = rng.choices(list(COUNTS), list(COUNTS.values()))[0]
    chosen: set[Lapse] = set()
    while len(chosen) < count:
        chosen.add(rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0])
    return frozenset(chosen)
