"""A design: every decision about one network, drawn at random over sensible ranges, and changed one at a time."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from archloop.contracts.values import Family
from services.generator import prompts
from services.generator.prompts import BriefParameters
from services.generator.seeds.code_style import CodeStyle
from services.generator.seeds.families import BODIES

WIDTHS: Mapping[int, tuple[int, int]] = MappingProxyType({30_000: (8, 16), 100_000: (8, 24), 300_000: (16, 32)})
_STEP = 8
_NORMS = ("BatchNorm2d", "GroupNorm", "")
_ORDERS = ("conv norm act", "conv act norm")
_RATES = (0.1, 0.25, 0.5, 1, 2, 4)
_DECAYS = (0.0, 1e-4, 5e-4, 5e-3)
_LIMITS = (0.0, 0.5, 1.0, 3.0)
_DROPOUTS = (0.0, 0.1, 0.3, 0.5)
_BLOCK = "the block"


@dataclass(frozen=True)
class Training:
    """How a network trains itself: `rate` is a multiple of the protocol's, `clipping` the largest gradient norm.

    With `decay` the rate falls to nothing over the pass.
    """

    rate: float
    decay: bool
    nesterov: bool
    weight_decay: float
    smoothing: float
    clipping: float


@dataclass(frozen=True)
class Design:
    """What a network is to be. Lengths: `widths` has the stem's and each stage's, `halved` one entry for each stage.

    `block` is which of the family's bodies, `depth` how often it stands in a stage. `hidden` is the width of the head's
    hidden layer, 0 for none.
    """

    family: Family
    block: int
    style: CodeStyle
    layout: str
    downsampling: str
    head: str
    widths: tuple[int, ...]
    depth: int
    stem_kernel: int
    stem_halves: bool
    halved: tuple[bool, ...]
    hidden: int
    dropout: float
    training: Training


def draw(rng: random.Random, family: Family, brief: BriefParameters) -> Design:
    """Draw a design for this brief; what the brief leaves open is drawn without favour."""
    stages = brief.stages
    return Design(
        family=family,
        block=rng.randrange(len(BODIES[family])),
        style=_style(rng, brief.activation),
        layout=brief.layout,
        downsampling=brief.downsampling,
        head=brief.head,
        widths=_widths(rng, brief),
        depth=_depth(rng, brief.budget),
        stem_kernel=rng.choice((3, 5)),
        stem_halves=rng.random() < 0.9,
        halved=(*(rng.random() < 0.5 for _ in range(stages - 1)), False),
        hidden=rng.choice((32, 64)) if brief.head == "one hidden layer" else 0,
        dropout=rng.choice(_DROPOUTS[1:]) if "dropout" in brief.tricks else 0.0,
        training=_training(rng, brief.tricks),
    )


def _style(rng: random.Random, activation: str) -> CodeStyle:
    return CodeStyle(
        activation=activation,
        norm=rng.choice(_NORMS),
        groups=2,
        order=rng.choice(_ORDERS),
        kernel=rng.choice((3, 5)),
        dim=rng.choice(("1", "dim=1")),
    )


def _widths(rng: random.Random, brief: BriefParameters) -> tuple[int, ...]:
    low, high = WIDTHS[brief.budget]
    return tuple(rng.randrange(low, high + 1, _STEP) for _ in range(brief.stages + 1))


def _depth(rng: random.Random, budget: int) -> int:
    return rng.choice((1, 1, 2)) if budget > min(WIDTHS) else 1


def _training(rng: random.Random, tricks: Sequence[str]) -> Training:
    return Training(
        rate=rng.choice(_RATES),
        decay=rng.random() < 0.3,
        nesterov="Nesterov momentum" in tricks,
        weight_decay=rng.choice(_DECAYS[1:]) if "weight decay" in tricks else 0.0,
        smoothing=0.1 if "label smoothing" in tricks else 0.0,
        clipping=rng.choice(_LIMITS[1:]) if "gradient clipping" in tricks else 0.0,
    )


def mutate(rng: random.Random, design: Design, focus: str | None = None, family: Family | None = None) -> Design:
    """Return the design with one decision drawn anew, to something else.

    Args:
        rng: Where the decision comes from.
        design: What is changed.
        focus: One of `prompts.FOCUSES` that the decision is about; any if there is none.
        family: Of the new block, where that is the focus; any if there is none.

    """
    while True:
        about = focus or rng.choice(prompts.FOCUSES)
        mutated = _block(rng, design, family) if about == _BLOCK else rng.choice(_MUTATIONS[about])(rng, design)
        if mutated != design:
            return mutated


Mutation = Callable[[random.Random, Design], Design]


def _one(name: str, values: Sequence[Any]) -> Mutation:
    """Return the mutation that draws one field of the design from these values."""
    return lambda rng, design: replace(design, **{name: rng.choice(values)})


def _style_of(name: str, values: Sequence[Any]) -> Mutation:
    return lambda rng, design: replace(design, style=replace(design.style, **{name: rng.choice(values)}))


def _training_of(name: str, values: Sequence[Any]) -> Mutation:
    return lambda rng, design: replace(design, training=replace(design.training, **{name: rng.choice(values)}))


def _block(rng: random.Random, design: Design, family: Family | None) -> Design:
    family = family or rng.choice(list(Family))
    return replace(design, family=family, block=rng.randrange(len(BODIES[family])))


def _width(rng: random.Random, design: Design) -> Design:
    widths, most = list(design.widths), WIDTHS[max(WIDTHS)][1]
    place = rng.randrange(len(widths))
    widths[place] = max(_STEP, min(most, widths[place] + rng.choice((-2, -1, 1, 2)) * _STEP))
    return replace(design, widths=tuple(widths))


def _halving(rng: random.Random, design: Design) -> Design:
    place = rng.randrange(len(design.halved) - 1)
    halved = tuple(flag != (place == index) for index, flag in enumerate(design.halved))
    return replace(design, halved=halved)


def _head(rng: random.Random, design: Design) -> Design:
    head = rng.choice(prompts.HEADS)
    return replace(design, head=head, hidden=rng.choice((32, 64)) if head == "one hidden layer" else 0)


_MUTATIONS: Mapping[str, tuple[Mutation, ...]] = MappingProxyType(
    {
        "the widths": (_width,),
        "the depth": (_one("depth", (1, 2, 3)),),
        "the kernels": (_style_of("kernel", (3, 5)),),
        "the order of the layers": (_style_of("order", _ORDERS),),
        "the activation": (_style_of("activation", prompts.ACTIVATIONS),),
        "the normalisation": (_style_of("norm", _NORMS),),
        "the downsampling": (_halving, _one("downsampling", prompts.DOWNSAMPLING)),
        "the stem": (_one("stem_kernel", (3, 5)), _one("stem_halves", (False, True))),
        "the head": (_head, _one("dropout", _DROPOUTS)),
        "the optimizer and its rates": (
            _training_of("rate", _RATES),
            _training_of("rate", _RATES),
            _training_of("decay", (False, True)),
            _training_of("nesterov", (False, True)),
            _training_of("weight_decay", _DECAYS),
            _training_of("smoothing", (0.0, 0.1)),
            _training_of("clipping", _LIMITS),
        ),
    }
)
