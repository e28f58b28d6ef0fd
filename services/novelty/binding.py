"""Arguments of a call bound to torch's parameters, and how they are written."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from services.novelty.call_signatures import SPATIAL, Parameters
from services.novelty.instructions import Node
from services.novelty.names import Value


class Arguments(NamedTuple):
    """The arguments of a call by position and by name; `is_open` if some are known only when the call runs."""

    positional: list[Value]
    named: dict[str, Value]
    is_open: bool = False

    @property
    def parts(self) -> Sequence[Value]:
        """Return the arguments as tokens and values, in brackets."""
        named = [part for name, value in self.named.items() for part in (f"{name}=", value)]
        return ["(", *self.positional, *named, ")"]


def bound(parameters_: Parameters, arguments: Arguments) -> dict[str, Value] | None:
    """Bind arguments to torch's parameters by name; return None if they do not fit."""
    named = arguments.named
    if arguments.is_open or len(arguments.positional) > len(parameters_):
        return None
    given = {name: value for (name, _), value in zip(parameters_, arguments.positional, strict=False)}
    if named:
        if not named.keys() <= {name for name, _ in parameters_} - given.keys():
            return None
        given |= named
    for name, default in parameters_:
        if default is None and name not in given:
            return None
    return given


def written(name: str, parameters_: Parameters, given: Mapping[str, Value]) -> list[Value]:
    """Write required arguments by position, and the others by name where they differ from the default."""
    dimensions = int(name[-2]) if name[-1:] == "d" and name[-2:-1].isdigit() else 0
    parts: list[Value] = []
    for parameter, default in parameters_:
        if parameter not in given:
            continue
        value = given[parameter]
        if parameter in SPATIAL:
            value = _as_number(value, dimensions)
        if default is None:
            parts.append(value)
        elif value != default and not _is_usual_stride(name, parameter, value, given, dimensions):
            parts += [f"{parameter}=", value]
    return parts


def _as_number(value: Value, dimensions: int) -> Value:
    if type(value) is not Node or value.layer is None or value.layer[0] != "display":
        return value
    elements = value.layer[1]
    is_same = len(elements) == (dimensions or 2) and all(element == elements[0] for element in elements)
    return elements[0] if is_same and not isinstance(elements[0], Node) else value


def _is_usual_stride(name: str, parameter: str, value: Value, given: Mapping[str, Value], dimensions: int) -> bool:
    """Say whether a pooling's stride equals its kernel size, which is what an omitted stride means."""
    if parameter != "stride" or "pool" not in name.lower():
        return False
    return value == _as_number(given["kernel_size"], dimensions)
