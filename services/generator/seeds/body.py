"""A block of layers in a form that fits into `Net` and into a helper module alike."""

from collections.abc import Callable
from typing import NamedTuple

from services.generator.seeds.code_style import CodeStyle

Layers = dict[str, list[str]]


class Body(NamedTuple):
    """Attributes with their module expressions (several make a Sequential), and statements that transform `x`."""

    layers: Layers
    steps: list[str]


class At(NamedTuple):
    """Place of a body: channels in and out as source text, and the prefix of its attribute names."""

    cin: str
    cout: str
    prefix: str = ""


BodyWriter = Callable[[CodeStyle, At], Body]


def plus(a: str, b: str) -> str:
    """Return `a + b`, computed where both are literals."""
    return str(int(a) + int(b)) if a.isdigit() and b.isdigit() else f"{a} + {b}"


def times(a: str, n: int) -> str:
    """Return `a * n`, computed where `a` is a literal."""
    return str(int(a) * n) if a.isdigit() else f"{a} * {n}"


def part(a: str, n: int) -> str:
    """Return `a // n`, computed where `a` is a literal."""
    return str(int(a) // n) if a.isdigit() else f"{a} // {n}"
