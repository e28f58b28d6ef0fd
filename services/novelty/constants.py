"""How constants are written: numbers and short texts as they are, tables and long texts in pieces."""

import ast
import math
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from services.novelty.instructions import Node

Sizes = Literal["kept", "bucketed", "ignored"]
_LONG_INTEGER, _LONG_TEXT, _LARGEST, _SMALL = 32, 24, 2**63, 13
_TABLE_FROM = 3
_REPEATED = 3
_FOLDED: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_OF_INTEGERS: dict[str, Callable[..., int]] = {"int": int, "max": max, "min": min, "abs": abs}


def spelling(sizes: Sizes) -> Callable[[int], str]:
    """Return how integers are written: as they are, rounded to a power of two, or all alike."""
    if sizes == "kept":
        return str
    if sizes == "ignored":
        return lambda _: "INT"
    return lambda value: str(2 ** round(math.log2(value))) if value > 1 else str(value)


def constant(value: object) -> "int | str | Sequence[str]":
    """Return an integer as it is, another constant as one token, and a long one as a table of its pieces."""
    if type(value) is int:
        return value if value.bit_length() <= _LONG_INTEGER else _pieces(r"..?", hex(value))
    text = repr(value)
    return text if len(text) <= _LONG_TEXT else _pieces(r"\w{1,24}|[^\w]{1,24}", text)


def _pieces(pattern: str, text: str) -> Sequence[str]:
    return ["data", "(", *table(re.findall(pattern, text)), ")"]


def folded(operation: ast.operator, left: object, right: object) -> int | None:
    """Compute an operation on two integers; return None for anything else, or if the result is large."""
    if type(left) is not int or type(right) is not int:
        return None
    if isinstance(operation, ast.Pow | ast.LShift):
        is_small = 0 <= right < _SMALL and abs(left) <= 2**_SMALL
        return (left**right if isinstance(operation, ast.Pow) else left << right) if is_small else None
    fold = _FOLDED.get(type(operation))
    if fold is None or (isinstance(operation, ast.FloorDiv | ast.Mod) and right == 0):
        return None
    result = fold(left, right)
    return result if abs(result) < _LARGEST else None


def of_constants(name: str, given: Sequence[object]) -> int | None:
    """Compute one of Python's own functions on integers; return None for anything else."""
    if name not in _OF_INTEGERS or not given or not all(type(value) is int for value in given):
        return None
    return _OF_INTEGERS[name](*given) if len(given) > 1 or name in ("int", "abs") else None


def is_table(elements: "Sequence[str | int | Node]") -> bool:
    """Say whether a list holds enough constants for each to count like a layer."""
    return len(elements) >= _TABLE_FROM and not any(isinstance(element, Node) for element in elements)


def table(elements: Sequence[str]) -> Iterator[str]:
    """Yield seven tokens for each element, the weight of a layer: its occurrence and its predecessor."""
    seen: Counter[str] = Counter()
    before = ""
    for element in elements:
        seen[element] += 1
        for _ in range(_REPEATED):
            yield f"{element}#{seen[element]}"
            yield f"{before}>{element}"
        yield ","
        before = element
