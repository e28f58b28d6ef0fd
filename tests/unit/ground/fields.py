"""Every field of a model, however deep, with all that stands about it; and values at its bounds and beyond."""

import math
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen
from pydantic import BaseModel

# As JSON has them, or nearly.
ODD = (
    *(
        "true",
        "false",
        "null",
        "NaN",
        "Infinity",
        "-Infinity",
        "-0.0",
        "0",
        "-1",
        "1",
        "0.5",
        "-0.5",
        "1e400",
        "-1e400",
    ),
    *(str(2**31), str(2**31 - 1), str(2**53), str(2**53 + 1), str(2**63), str(2**63 - 1), str(-(2**63)), str(2**64)),
    *("1" + "0" * 400, "1" + "0" * 5000, '"7"', '"many"', '""', '"' + "9" * 5000 + '"', "[]", "{}", "[1]", "1e-400"),
)


class Found(NamedTuple):
    """`path` has 0 for an item of a list, and "key" for one of a dict, `kind` is int, float, str, list or dict."""

    path: tuple[str | int, ...]
    kind: type
    about: tuple[Any, ...]

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The least and the greatest value, or one next to those where these are not taken."""
        low = [getattr(each, "ge", getattr(each, "gt", None)) for each in self.about if isinstance(each, Ge | Gt)]
        high = [getattr(each, "le", getattr(each, "lt", None)) for each in self.about if isinstance(each, Le | Lt)]
        return max(low, default=None), min(high, default=None)

    @property
    def longest(self) -> int | None:
        """The most characters or items."""
        return min((each.max_length for each in self.about if isinstance(each, MaxLen)), default=None)

    def values(self) -> Iterator[str]:
        """JSON at the bounds, next to them, and odd."""
        yield from ODD
        for bound in self.bounds:
            if bound is not None and self.kind is int:
                yield from (str(bound + step) for step in (-1, 0, 1))
            elif bound is not None:
                yield from map(repr, (math.nextafter(bound, -math.inf), bound, math.nextafter(bound, math.inf)))


def fields(model: type[BaseModel], before: tuple[str | int, ...] = ()) -> Iterator[Found]:
    """All of them."""
    for name, field in model.model_fields.items():
        yield from _within((*before, name), field.annotation, tuple(field.metadata))


def numbers(model: type[BaseModel]) -> list[Found]:
    """Those that are numbers."""
    return [found for found in fields(model) if found.kind in {int, float}]


def put(content: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A copy with another value there."""
    head, *rest = path
    if isinstance(content, list | tuple) or head == 0:
        return [put(content[0] if content else {}, tuple(rest), value) if rest else value]
    inner = (content or {}).get(head)
    return {**(content or {}), head: put(inner, tuple(rest), value) if rest else value}


def _within(path: tuple[str | int, ...], kind: Any, about: tuple[Any, ...]) -> Iterator[Found]:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        inner, *more = arguments
        yield from _within(path, inner, (*about, *(m for each in more for m in getattr(each, "metadata", [each]))))
    elif origin in {Union, UnionType}:
        for part in arguments:
            yield from _within(path, part, about)
    elif origin in {tuple, list}:
        yield Found(path, list, about)
        for part in {arg for arg in arguments if arg is not Ellipsis}:
            yield from _within((*path, 0), part, ())
    elif origin is dict:
        yield Found(path, dict, about)
        yield from _within((*path, "key"), arguments[1], ())
    elif kind in {int, float, str}:
        yield Found(path, kind, about)
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from fields(kind, path)
