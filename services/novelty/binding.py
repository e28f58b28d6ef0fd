"""Arguments of a call bound to torch's parameters, and how they are written."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from services.novelty.call_signatures import NUMPY, SINGLE, SPATIAL, Parameters
from services.novelty.instructions import Node
from services.novelty.names import Value


class Arguments(NamedTuple):
    """The arguments of a call by position and by name; `is_open` if some are known only when the call runs."""

    positional: list[Value]
    named: dict[str, Value]
    is_open: bool = False

    @property
    def number(self) -> int:
        """Return the number of arguments."""
        return len(self.positional) + len(self.named)

    @property
    def parts(self) -> Sequence[Value]:
        """Return the arguments as tokens and values, in brackets."""
        named = [part for name, value in self.named.items() for part in (f"{name}=", value)]
        return ["(", *self.positional, *named, ")"]


def bound(parameters_: Parameters, arguments: Arguments) -> dict[str, Value] | None:
    """Bind arguments to torch's parameters by name, in their order; return None if they do not fit."""
    positional, named, is_open = arguments
    if is_open or len(positional) > len(parameters_):
        return None
    given = dict(zip(parameters_.names, positional, strict=False))
    if named:
        places = parameters_.places
        if not (named.keys() <= places.keys() and given.keys().isdisjoint(named)):
            return None
        given |= named
        given = {name: given[name] for name in sorted(given, key=places.__getitem__)}
    return given if given.keys() >= parameters_.required else None


def of_numpy(parameters_: Parameters, arguments: Arguments) -> Arguments:
    """Return the arguments with torch's names for those that it takes by NumPy's names too."""
    places, named = parameters_.places, arguments.named
    renamed = {name: NUMPY[name] for name in named if name in NUMPY and name not in places}
    if not renamed or not places.keys() >= {*renamed.values()} or named.keys() & {*renamed.values()}:
        return arguments
    return arguments._replace(named={renamed.get(name, name): value for name, value in named.items()})


def written(name: str, parameters_: Parameters, given: Mapping[str, Value]) -> list[Value]:
    """Write required arguments, which are given in order, by position; others by name if they are not the default."""
    defaults = parameters_.defaults
    parts: list[Value] = []
    for parameter, argument in given.items():
        value = _as_number(argument, _dimensions(name)) if parameter in SPATIAL else argument
        value = _as_number(argument, 1) if parameter in SINGLE else value
        if parameter not in defaults:
            parts.append(value)
        elif value != defaults[parameter] and not (parameter == "stride" and _is_usual_stride(name, value, given)):
            parts += (f"{parameter}=", value)
    return parts


def _dimensions(name: str) -> int:
    return int(name[-2]) if name[-1:] == "d" and name[-2:-1].isdigit() else 0


def _as_number(value: Value, dimensions: int) -> Value:
    if type(value) is not Node or value.layer is None or value.layer[0] != "display":
        return value
    elements = value.layer[1]
    is_same = len(elements) == (dimensions or 2) and all(element == elements[0] for element in elements)
    return elements[0] if is_same and not isinstance(elements[0], Node) else value


def _is_usual_stride(name: str, value: Value, given: Mapping[str, Value]) -> bool:
    """Say whether a pooling's stride equals its kernel size, which is what an omitted stride means."""
    if "pool" not in name.lower():
        return False
    kernel = _as_number(given["kernel_size"], _dimensions(name))
    return value == kernel or None is not _sizes(value) == _sizes(kernel)


def _sizes(value: Value) -> list[Value] | None:
    """Return sizes that are spelt out; None for any other value."""
    layer = value.layer if type(value) is Node else None
    is_spelt_out = layer is not None and layer[0] == "display" and not any(type(part) is Node for part in layer[1])
    return layer[1] if layer is not None and is_spelt_out else None
