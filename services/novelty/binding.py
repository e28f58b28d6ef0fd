"""Arguments of a call, by the parameters that torch has for it; how they are written."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from services.novelty.instructions import Node
from services.novelty.names import Value
from services.novelty.signatures import SPATIAL, Parameters


class Arguments(NamedTuple):
    """Of a call: by position, by name, and whether some are only known when it runs."""

    positional: list[Value]
    named: dict[str, Value]
    is_open: bool = False

    @property
    def parts(self) -> Sequence[Value]:
        """As written."""
        named = [part for name, value in self.named.items() for part in (f"{name}=", value)]
        return ["(", *self.positional, *named, ")"]


def bound(parameters_: Parameters, arguments: Arguments) -> dict[str, Value] | None:
    """Arguments by the names of torch's parameters; None where they do not fit."""
    names = [parameter.name for parameter in parameters_]
    named = arguments.named
    if arguments.is_open or len(arguments.positional) > len(names):
        return None
    given = dict(zip(names, arguments.positional, strict=False))
    if not named.keys() <= set(names) - given.keys():
        return None
    given |= named
    return given if all(p.default is not None or p.name in given for p in parameters_) else None


def written(name: str, parameters_: Parameters, given: Mapping[str, Value]) -> list[Value]:
    """What must be given as it is, the rest by name and only where it is not the default."""
    dimensions = int(name[-2]) if name[-1:] == "d" and name[-2:-1].isdigit() else 0
    parts: list[Value] = []
    for parameter in parameters_:
        if parameter.name not in given:
            continue
        value = given[parameter.name]
        if parameter.name in SPATIAL:
            value = _as_number(value, dimensions)
        if parameter.default is None:
            parts.append(value)
        elif value != parameter.default and not _is_usual_stride(name, parameter.name, value, given, dimensions):
            parts += [f"{parameter.name}=", value]
    return parts


def _as_number(value: Value, dimensions: int) -> Value:
    if type(value) is not Node or value.layer is None or value.layer[0] != "display":
        return value
    elements = value.layer[1]
    is_same = len(elements) == (dimensions or 2) and all(element == elements[0] for element in elements)
    return elements[0] if is_same and not isinstance(elements[0], Node) else value


def _is_usual_stride(name: str, parameter: str, value: Value, given: Mapping[str, Value], dimensions: int) -> bool:
    """A pooling that does not say its stride moves by its size."""
    if parameter != "stride" or "pool" not in name.lower():
        return False
    return value == _as_number(given["kernel_size"], dimensions)
