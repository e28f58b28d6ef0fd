"""Memories to learn reading from: networks with accuracies drawn at random, and designs that follow the best of them.

The small model learns from them to take over what the best remembered network has, and nothing of what any protocol
prefers: which one is the best is drawn anew for every prompt.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from archloop import networks
from archloop.contracts.values import Outcome, Remembered
from services.generator.seeds.design import Design
from services.generator.seeds.writer import render

_ACCURACIES = (0.1, 0.95)
_FOLLOWED = 0.9
_RATES = ("rate", "weight_decay", "clipping")


class Memory(NamedTuple):
    """What a prompt says of earlier networks, and the design of the best of them, if there is any."""

    lines: tuple[Remembered, ...] = ()
    best: Design | None = None


def remembered(rng: random.Random, draw: Callable[[], Design], count: int) -> Memory:
    """Return so many networks, at least one, with accuracies at random, the best first."""
    accuracies = sorted((accuracy(rng) for _ in range(count)), reverse=True)
    scored = [(each, draw()) for each in accuracies]
    return Memory(tuple(_remember(design, each) for each, design in scored), scored[0][1])


def accuracy(rng: random.Random) -> float:
    """Return any accuracy that a network may have."""
    return rng.uniform(*_ACCURACIES)


def following(rng: random.Random, design: Design, best: Design) -> Design:
    """Return the design with the norm and the rates of the best, nearly always, but with no rate that it is without."""
    if rng.random() < _FOLLOWED:
        design = replace(design, style=replace(design.style, norm=best.style.norm))
    taken = {
        name: getattr(best.training, name)
        for name in _RATES
        if getattr(design.training, name) and getattr(best.training, name) and rng.random() < _FOLLOWED
    }
    return replace(design, training=replace(design.training, **taken))


def nearest(designs: Sequence[Design], best: Design) -> Design:
    """Return the first of those that have most in common with the best."""
    return max(
        designs, key=lambda design: sum(one == other for one, other in zip(*map(_told, (design, best)), strict=True))
    )


def _told(design: Design) -> tuple[object, ...]:
    """Return what the line of a network tells of the decisions about it."""
    rates = tuple(getattr(design.training, name) for name in (*_RATES, "nesterov", "smoothing"))
    return design.family, design.style.norm, design.style.activation, design.depth, max(design.widths), *rates


def _remember(design: Design, accuracy: float) -> Remembered:
    text = networks.described(render(design), design.family, size(design))
    return Remembered(outcome=Outcome.OK, text=text, accuracy=accuracy)


def size(design: Design) -> int:
    """Return about how many parameters the network has: what its convolutions would have, were they plain."""
    area = design.style.kernel**2
    stages = zip(design.widths, design.widths[1:], strict=False)
    return sum(area * (cin * cout + (design.depth - 1) * cout * cout) for cin, cout in stages)
