"""Prompts from template files: the task of the LLM, varied by a random stream, families in rotation."""

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound

from archloop import answers, remembering, templates
from archloop.contracts.values import Family, Remembered
from archloop.protocols import Protocol

DESCRIPTIONS: Mapping[Family, str] = MappingProxyType(
    {
        Family.PLAIN: "convolutions in sequence, without skips, branches or gates",
        Family.RESIDUAL: "the output of each block is added to a skip path",
        Family.DENSE: "each layer sees the concatenation of all features before it",
        Family.INCEPTION: "parallel branches with different kernels, concatenated",
        Family.DEPTHWISE: "depthwise convolutions (groups = channels) and pointwise ones",
        Family.SQUEEZE_EXCITE: "channels are scaled by a gate computed from global pooling",
        Family.ATTENTION: "softmax self-attention over spatial tokens",
        Family.GATED: "one convolution branch multiplied elementwise by the sigmoid of another",
    }
)
BUDGETS = (30_000, 100_000, 300_000)
LARGE_BUDGETS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"paper": (300_000, 800_000, 1_500_000, 3_000_000, 6_000_000, 12_000_000, 25_000_000)}
)
STAGES = (2, 3)
LAYOUTS = ("one attribute for each stage", "stages in a Sequential", "stages in a loop over widths")
DOWNSAMPLING = ("strided convolution", "max pooling", "average pooling")
ACTIVATIONS = ("ReLU", "LeakyReLU", "PReLU", "ELU", "GELU", "SiLU", "Mish", "Hardswish")
HEADS = ("global average pooling", "global max pooling", "one hidden layer")
TRICKS = ("Nesterov momentum", "weight decay", "gradient clipping", "label smoothing", "dropout")
FOCUSES = (
    *("the widths", "the depth", "the kernels", "the block", "the order of the layers", "the activation"),
    *("the normalisation", "the downsampling", "the stem", "the head", "the optimizer and its rates"),
)
_ENVIRONMENT = Environment(  # noqa: S701 — plain text
    loader=FileSystemLoader(templates.FOLDER), undefined=StrictUndefined, keep_trailing_newline=True
)


class BriefParameters(NamedTuple):
    """Part of a brief that is drawn anew for each prompt. `budget` is in parameters."""

    budget: int
    stages: int
    layout: str
    downsampling: str
    activation: str
    head: str
    tricks: tuple[str, ...]


class Original(NamedTuple):
    """A network to be edited, as `archloop.answers.edits.prepared` makes it, and the accuracy that it reached."""

    code: str
    accuracy: float

    @property
    def fence(self) -> str:
        """The marks that stand around the code, of which it holds none as long."""
        return answers.fence(self.code)


class Prompt(NamedTuple):
    """Text for the LLM, and what it asks for."""

    text: str
    family: Family
    brief: BriefParameters


def render(
    template: str,
    *,
    protocol: Protocol,
    rng: random.Random,
    index: int,
    memory: Sequence[Remembered] = (),
    families: Sequence[Family] = (),
) -> Prompt:
    """Return the prompt of one candidate; `index` picks the family in rotation, `rng` all else. Raises NotFound."""
    family = _in_rotation(families, index)
    return ask(template, protocol=protocol, family=family, brief=draw_brief(rng, budgets(template)), memory=memory)


def ask(
    template: str, *, protocol: Protocol, family: Family, brief: BriefParameters, memory: Sequence[Remembered] = ()
) -> Prompt:
    """Return the prompt that asks for exactly this, and says what is remembered. Raises NotFound."""
    return Prompt(_text(template, protocol, family, brief, memory), family, brief)


def render_edit(
    template: str,
    *,
    protocol: Protocol,
    rng: random.Random,
    index: int,
    original: Original,
    memory: Sequence[Remembered] = (),
    families: Sequence[Family] = (),
) -> Prompt:
    """Return the prompt of a candidate that is an edit, in a run whose whole networks `template` asks for."""
    family, brief = _in_rotation(families, index), draw_brief(rng, budgets(template))
    focus = rng.choice(FOCUSES)
    return ask_edit(protocol=protocol, family=family, brief=brief, focus=focus, original=original, memory=memory)


def ask_edit(
    *,
    protocol: Protocol,
    family: Family,
    brief: BriefParameters,
    focus: str,
    original: Original,
    memory: Sequence[Remembered] = (),
) -> Prompt:
    """Return the prompt that shows this network and asks for an edit in this place, one of `FOCUSES`.

    Of the brief it holds the budget alone, and of the family what the block is to become where that is the focus.
    """
    text = _text(templates.EDIT, protocol, family, brief, memory, focus=focus, original=original)
    return Prompt(text, family, brief)


def budgets(template: str) -> tuple[int, ...]:
    """Return the budgets, in parameters, for networks of the size that the template is about."""
    return LARGE_BUDGETS.get(template, BUDGETS)


def draw_brief(rng: random.Random, budgets: Sequence[int] = BUDGETS) -> BriefParameters:
    """Draw the free part of a brief."""
    return BriefParameters(
        budget=rng.choice(budgets),
        stages=rng.choice(STAGES),
        layout=rng.choice(LAYOUTS),
        downsampling=rng.choice(DOWNSAMPLING),
        activation=rng.choice(ACTIVATIONS),
        head=rng.choice(HEADS),
        tricks=tuple(sorted(rng.sample(TRICKS, 2), key=TRICKS.index)),
    )


def _in_rotation(families: Sequence[Family], index: int) -> Family:
    """Return the family that the index picks of these, or of all where none are named."""
    asked = families or list(Family)
    return asked[index % len(asked)]


def _text(
    template: str,
    protocol: Protocol,
    family: Family,
    brief: BriefParameters,
    memory: Sequence[Remembered],
    **of_an_edit: object,
) -> str:
    try:
        source = _ENVIRONMENT.get_template(f"{template}.j2")
    except TemplateNotFound as error:
        raise templates.unknown(template) from error
    data = protocol.dataset
    return source.render(
        classes=data.classes,
        shape=protocol.input_shape,
        images=data.train,
        batch=protocol.batch,
        family=family,
        description=DESCRIPTIONS[family],
        memory=remembering.lines(memory),
        **brief._asdict(),
        **of_an_edit,
    )
