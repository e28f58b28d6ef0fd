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
    Lapse.CONSTANT_INIT: 3,
    Lapse.DAMPENED: 3,
    Lapse.NO_NORM: 1.2,
    Lapse.HARD_CLIP: 1.2,
    Lapse.OVER_DECAY: 0.6,
    Lapse.HEAVY_DROPOUT: 0.4,
    Lapse.SATURATING: 0.3,
    Lapse.EARLY_POOLING: 0.3,
    Lapse.NARROW: 0.3,
}
COUNTS = {0: 0.03, 1: 0.47, 2: 0.38, 3: 0.12}


def draw(rng: random.Random) -> frozenset[Lapse]:
    """The lapses of one author, mostly one or two."""
    count = rng.choices(list(COUNTS), list(COUNTS.values()))[0]
    chosen: set[Lapse] = set()
    while len(chosen) < count:
        chosen.add(rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0])
    return frozenset(chosen)
