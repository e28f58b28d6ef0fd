"""A taste: a random preference over designs, of which a few scored networks give a glimpse.

From many tastes, each shown by what was remembered and answered by what that taste likes best, the small model learns
to read a memory. It learns nothing of what a real protocol prefers: every taste is drawn anew.
"""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from archloop import networks
from archloop.contracts.values import Outcome, Remembered
from services.generator.seeds.design import Design
from services.generator.seeds.writer import render

_NOISE = 0.3
_SPREAD = 0.2


class Taste:
    """Scores designs as one random preference would; the same stream gives the same one."""

    def __init__(self, rng: random.Random) -> None:
        self._middle = rng.uniform(0.25, 0.65)
        self._weights: dict[tuple[str, object], float] = defaultdict(partial(rng.gauss, 0, 1))

    def likes(self, design: Design) -> float:
        """Return how much the design is liked, without bounds."""
        return sum(self._weights[each] for each in _decisions(design)) / 2

    def accuracy(self, rng: random.Random, design: Design) -> float:
        """Return an accuracy that goes with it, between 0.1 and 0.95, with noise."""
        liked = self.likes(design) + rng.gauss(0, _NOISE)
        return min(0.95, max(0.1, self._middle + _SPREAD * math.tanh(liked)))

    def best(self, designs: Sequence[Design]) -> Design:
        """Return the one that is liked best."""
        return max(designs, key=self.likes)


def remembered(rng: random.Random, taste: Taste, draw: Callable[[], Design], count: int) -> tuple[Remembered, ...]:
    """Return so many networks with their accuracies by this taste, the best first."""
    designs = [draw() for _ in range(count)]
    scored = sorted(((taste.accuracy(rng, each), each) for each in designs), key=lambda pair: -pair[0])
    return tuple(_remember(design, accuracy) for accuracy, design in scored)


def _remember(design: Design, accuracy: float) -> Remembered:
    text = networks.described(render(design), design.family, size(design))
    return Remembered(outcome=Outcome.OK, text=text, accuracy=accuracy)


def size(design: Design) -> int:
    """Return about how many parameters the network has: what its convolutions would have, were they plain."""
    area = design.style.kernel**2
    stages = zip(design.widths, design.widths[1:], strict=False)
    return sum(area * (cin * cout + (design.depth - 1) * cout * cout) for cin, cout in stages)


def _decisions(design: Design) -> Iterator[tuple[str, object]]:
    yield "family", design.family
    yield "norm", design.style.norm
    yield "activation", design.style.activation
    yield "kernel", design.style.kernel
    yield "width", max(design.widths)
    yield "depth", design.depth
    yield "downsampling", design.downsampling
    for name in ("rate", "nesterov", "weight_decay", "smoothing", "clipping"):
        yield name, getattr(design.training, name)
