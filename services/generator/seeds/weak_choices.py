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
    Lapse.TIMID_RATE: 4,
    Lapse.DAMPENED: 4,
    Lapse.HARD_CLIP: 3,
    Lapse.CONSTANT_INIT: 1.5,
    Lapse.NO_NORM: 0.8,
    Lapse.OVER_DECAY: 0.3,
    Lapse.HEAVY_DROPOUT: 0.3,
    Lapse.SATURATING: 0.3,
    Lapse.EARLY_POOLING: 0.15,
    Lapse.NARROW: 0.15,
}
COUNTS = {0: 0.03, 1: 0.60, 2: 0.32, 3: 0.05}


def draw(rng: random.Random) -> frozenset[Lapse]:
    """The lapses of one author, mostly one or two."""
    count = rng.choices(list(COUNTS), list(COUNTS.values()))[0]
    chosen: set[Lapse] = set()
    while len(chosen) < count:
        chosen.add(rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0])
    return frozenset(chosen)
