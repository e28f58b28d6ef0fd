"""Calls of what torch offers: which of several spellings mean the same, and what a layer does where it is applied."""

import ast
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from services.novelty.constants import Sizes
from services.novelty.expressions import Expressions
from services.novelty.facts import MUTATING
from services.novelty.instructions import Node
from services.novelty.names import SELF, Value
from services.novelty.program import Program
from services.novelty.signatures import APPLIED, LAYERS, METHODS, OPERATORS, SPATIAL, VARIADIC, Parameters
from services.novelty.signatures import FUNCTIONS as TORCH

_MOVES = frozenset({"cuda", "cpu"})
_SIZES = frozenset({"dim", "dims", "shape", "size", "output_size", "pad", "normalized_shape"})
_APPLIED_AT_MOST = 2_000


class Arguments(NamedTuple):
    """Of a call: by position, by name, and whether some are only known when it runs."""

    positional: list[Value]
    named: dict[str, Value]
    is_open: bool = False

    @property
    def parts(self) -> Sequence[Value]:
        """As written, those with names sorted."""
        named = [part for name in sorted(self.named) for part in (f"{name}=", self.named[name])]
        return ["(", *self.positional, *named, ")"]


class TorchCalls(Expressions):
    """Adds calls of what comes from elsewhere to expressions."""

    def __init__(self, program: Program, sizes: Sizes) -> None:
        super().__init__(program, sizes)
        self.applied_layers: set[int] = set()
        self._applications = 0

    def arguments(self, node: ast.Call) -> Arguments:
        """All arguments; a list that is spelt out is given element by element."""
        positional: list[Value] = []
        is_open = False
        for argument in node.args:
            if type(argument) is not ast.Starred:
                positional.append(self.value(argument))
                continue
            starred = self.value(argument.value)
            if type(starred) is Node and starred.layer is not None and starred.layer[0] == "display":
                positional += starred.layer[1]
            else:
                positional.append(self.step("*", starred))
                is_open = True
        named = {keyword.arg or "**": self.value(keyword.value) for keyword in node.keywords}
        return Arguments(positional, named, is_open or "**" in named)

    def external(self, name: str, node: ast.Call) -> Value:
        """A call of torch's, of Python's or of a library's."""
        arguments = self._labelled(node) if name == "Sequential" else None
        arguments = arguments or self.arguments(node)
        if "device" in arguments.named:
            self.stream.forget(arguments.named.pop("device"))
        return self._external(name, arguments)

    def _external(self, name: str, arguments: Arguments) -> Value:
        if name in LAYERS:
            return self._layer(name, arguments)
        if name in TORCH:
            return self._function(name, arguments)
        if name == "Sequential" and not arguments.is_open and not arguments.named:
            node = self.pure(name, *arguments.parts)
            node.layer = ("Sequential", arguments.positional)
            return node
        return self.step(name, *arguments.parts)

    def _labelled(self, node: ast.Call) -> Arguments | None:
        """`Sequential(OrderedDict([("name", layer), …]))` without its names, if nobody asks for them."""
        match node:
            case ast.Call(args=[ast.Call(args=[ast.List(elts=pairs)], keywords=[])], keywords=[]):
                names = [_label_of(pair) for pair in pairs]
                if all(n and n not in self.facts.attributes for n in names) and not self.facts.dynamic:
                    return Arguments([self.value(pair.elts[1]) for pair in pairs if isinstance(pair, ast.Tuple)], {})
        return None

    def _layer(self, name: str, arguments: Arguments) -> Value:
        given = bound(LAYERS[name], arguments)
        if given is None:
            return self.step(name, *arguments.parts)
        node = self.pure(name, "(", *written(name, LAYERS[name], given), ")")
        node.layer = (name, given)
        return node

    def _function(self, name: str, arguments: Arguments) -> Value:
        given = bound(TORCH[name], arguments)
        if given is None:
            return self.step(name, *arguments.parts)
        given = {key: self._as_tuple(value) if key in _SIZES else value for key, value in given.items()}
        if name == "flatten" and (averaged := _averaged(given)) is not None:
            self.stream.forget(given["input"])
            return self._function("mean", Arguments([averaged, self.display("(", [2, 3], ")")], {}))
        if name in OPERATORS and len(given) == 2:
            left, right = given.values()
            return self.step(OPERATORS[name], "(", left, right, ")")
        return self.step(name, "(", *written(name, TORCH[name], given), ")")

    def _as_tuple(self, value: Value) -> Value:
        """Sizes in a list are those in a tuple."""
        if type(value) is Node and value.layer is not None and value.parts[0] == "[":
            return self.display("(", value.layer[1], ")")
        return value

    def applied(self, callee: Value, arguments: Arguments) -> Value:
        """A layer, or anything else that was computed, called."""
        if type(callee) is str and not callee.startswith(("%", "'", '"')):
            return self._external(callee, arguments)
        layer = callee.layer if type(callee) is Node else None
        if layer is not None and len(arguments.positional) == 1 and not arguments.named and not arguments.is_open:
            value = self._applied_layer(layer, arguments.positional[0])
            if value is not None:
                self.applied_layers.add(id(callee))
                return value
        return self.step(callee, *arguments.parts)

    def _applied_layer(self, layer: "tuple[str, object]", value: Value) -> Value | None:
        name, made = layer
        if name == "Sequential" and isinstance(made, list) and self._applications < _APPLIED_AT_MOST:
            for part in made:
                self._applications += 1
                value = self.applied(part, Arguments([value], {}))
            return value
        if name == "Identity":
            return value
        if name in APPLIED and isinstance(made, dict):
            defaults = {p.name: p.default for p in LAYERS[name] if p.default is not None}
            names = {p.name for p in TORCH[APPLIED[name]]}
            given: dict[str, Value] = {n: v for n, v in (defaults | made).items() if n in names}
            if "training" in names:
                given["training"] = f"{SELF}.training"
            return self._function(APPLIED[name], Arguments([value], given))
        return None

    # Methods of what was computed

    def _method(self, base: Value, name: str, arguments: Arguments) -> Value:
        if name in self.facts.methods or (name in self.facts.stores and name not in METHODS):
            return self.step(base, self.label(name), *arguments.parts)
        if name in MUTATING:
            return self._mutation(base, name, arguments)
        if name in METHODS:
            qualified = name if name in TORCH else f"torch.{name}"
            arguments = _packed(self, name, arguments)
            return self._function(qualified, Arguments([base, *arguments.positional], *arguments[1:]))
        if name == "size" and len(arguments.parts) <= 3:
            shape = self.shape(base)
            return self.step(shape, "[", arguments.positional[0], "]") if arguments.positional else shape
        arguments = _packed(self, name, arguments)
        return self.step(f".{name}", "(", base, *arguments.parts[1:])

    def _mutation(self, base: Value, name: str, arguments: Arguments) -> Value:
        """After it, what the list was made of is not what it is any more."""
        if type(base) is Node:
            base.layer = None
        self.stream.flush()
        return self.put(self.step(f".{name}", "(", base, *arguments.parts[1:]))


def _label_of(pair: ast.expr) -> str:
    match pair:
        case ast.Tuple(elts=[ast.Constant(value=str(name)), _]):
            return name
    return ""


def is_move(node: ast.Call, name: str) -> bool:
    """Whether a call only says on which device something is."""
    match node:
        case ast.Call(args=[], keywords=[]):
            return name in _MOVES
        case ast.Call(args=[ast.Attribute(attr=of) | ast.Name(id=of)], keywords=[]) if name in ("to", *_MOVES):
            return "device" in of
        case (
            ast.Call(args=[ast.Constant(value=str(of))], keywords=[])
            | ast.Call(args=[], keywords=[ast.keyword(arg="device", value=ast.Constant(value=str(of)))])
        ) if name == "to":
            return of.partition(":")[0] in _MOVES
    return False


def _packed(reader: Expressions, name: str, arguments: Arguments) -> Arguments:
    """Sizes that a method takes one by one, as one tuple; one size alone as it is."""
    if name not in VARIADIC or arguments.named or arguments.is_open or len(arguments.positional) < 2:
        return arguments
    return Arguments([reader.display("(", list(arguments.positional), ")")], {})


def _averaged(given: Mapping[str, Value]) -> Value | None:
    """What is pooled to one value per channel and then flattened: the same as its mean over places."""
    match given:
        case {"input": Node(parts=("adaptive_avg_pool2d", "(", pooled, 1, ")")), "start_dim": 1}:
            return pooled
    return None


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
