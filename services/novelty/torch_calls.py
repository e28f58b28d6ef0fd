"""Reading calls of torch: spellings that mean the same become one, layers are written where they are applied."""

import ast

from services.novelty.binding import Arguments, bound, of_numpy, written
from services.novelty.call_signatures import ALIASES, APPLIED, LAYERS, METHODS, OPERATORS, SPATIAL, VARIADIC
from services.novelty.call_signatures import FUNCTIONS as TORCH
from services.novelty.constants import Sizes, of_constants
from services.novelty.effects import MUTATING
from services.novelty.expressions import Expressions
from services.novelty.forms import averaged, is_flattening, is_of_torch, label_of
from services.novelty.instructions import Node
from services.novelty.names import SELF, Value
from services.novelty.program import Program

_SIZES = SPATIAL | {"dim", "dims", "shape", "tensors", "pad", "normalized_shape"}
_STABLE = frozenset(
    {"int", "float", "str", "bool", "len", "abs", "max", "min", "sum", "round", "range", "zip", "enumerate"}
    | {"tuple", "list", "dict", "set", "sorted", "reversed"}
    | {"Parameter", "ModuleList", "ModuleDict", "ParameterList"}
    | {"torch.range", "zeros", "ones", "arange", "linspace", "eye", "tensor"}
)
"""Functions whose result depends on their operands alone."""

_CONTAINERS = frozenset({"Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"})
_APPLIED_AT_MOST = 2_000


class TorchCalls(Expressions):
    """Reads calls of what is imported, on top of expressions."""

    def __init__(self, program: Program, sizes: Sizes) -> None:
        super().__init__(program, sizes)
        self._applications = 0

    def arguments(self, node: ast.Call) -> Arguments:
        """Read all arguments; a starred list that is spelt out is given element by element."""
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
        if not node.keywords:
            return Arguments(positional, {}, is_open)
        named = {keyword.arg or "**": self.value(keyword.value) for keyword in node.keywords}
        return Arguments(positional, named, is_open or "**" in named)

    def external(self, name: str, node: ast.Call) -> Value:
        """Read a call of torch, of Python or of a library."""
        arguments = self._labelled(node) if name == "Sequential" else None
        arguments = arguments or self.arguments(node)
        if "device" in arguments.named:
            self.stream.forget(arguments.named.pop("device"))
        return self._external(name, arguments)

    def _external(self, name: str, arguments: Arguments) -> Value:
        if name in LAYERS and name not in _CONTAINERS:
            return self._layer(name, arguments)
        if name in TORCH:
            return self._function(name, arguments)
        if name == "Sequential" and not arguments.is_open and not arguments.named:
            return self.one_after_the_other(arguments.positional)
        if name == "list" and not arguments.positional:
            return self.display("[", [], "]")
        arguments = self._shortened(name, arguments)
        known = of_constants(name, arguments.positional) if not arguments.named else None
        if known is not None:
            return known
        is_stable = name in _STABLE or name.startswith("math.")
        return (self.stable if is_stable else self.step)(name, *arguments.parts)

    def _shortened(self, name: str, arguments: Arguments) -> Arguments:
        """Leave out what means nothing: where a range or a count begins if at zero, a list's brackets around layers."""
        positional, named, _ = arguments
        if name == "range" and positional[2:] == [1] and not named:
            positional = positional[:2]
        if name == "range" and len(positional) == 2 and positional[0] == 0 and not named:
            return Arguments(positional[1:], {})
        if name == "enumerate" and ((positional[1:] == [0] and not named) or named == {"start": 0}):
            return Arguments(positional[:1], {})
        if name == "ModuleList" and arguments.number == 1 and named.keys() <= {"modules"}:
            return Arguments([self._listed(part, "[", "]") for part in (*positional, *named.values())], {})
        return arguments._replace(positional=positional)

    def _labelled(self, node: ast.Call) -> Arguments | None:
        """Read `Sequential(OrderedDict([("name", layer), …]))` without its names; None if something reads them."""
        match node:
            case ast.Call(args=[ast.Call(args=[ast.List(elts=pairs)], keywords=[])], keywords=[]):
                names = [label_of(pair) for pair in pairs]
                facts = self.facts
                is_only_label = all(facts.strings[n] == 1 and n not in facts.attributes for n in names)
                if is_only_label and not facts.dynamic:
                    return Arguments([self.value(pair.elts[1]) for pair in pairs if isinstance(pair, ast.Tuple)], {})
        return None

    def _layer(self, name: str, arguments: Arguments) -> Value:
        given = bound(LAYERS[name], arguments)
        if given is None:
            return self.step(name, *arguments.parts)
        self._sizes_as_tuples(given)
        fresh = ("new",) if self.frame.fresh and name not in APPLIED else ()
        node = self.pure(*fresh, name, "(", *written(name, LAYERS[name], given), ")")
        node.layer = (name, given)
        return node

    def _function(self, name: str, arguments: Arguments) -> Value:
        parameters = TORCH[name]
        if arguments.named and not self.facts.guarded:
            arguments = of_numpy(parameters, arguments)
        given = bound(parameters, arguments)
        if given is None:
            return self.step(name, *arguments.parts)
        self._sizes_as_tuples(given)
        if name == "reshape" and is_flattening(given["input"], Arguments([given["shape"]], {})):
            return self._function("flatten", Arguments([given["input"], 1], {}))
        if name == "flatten" and (pooled := averaged(given)) is not None:
            self.stream.forget(given["input"])
            return self._function("mean", Arguments([pooled, self.display("(", [2, 3], ")")], {}))
        parts = written(name, parameters, given)
        if name in OPERATORS and len(parts) == len(parameters.required):
            return self.stable(OPERATORS[name], "(", *parts, ")")
        return self.step(name, "(", *parts, ")")

    def _sizes_as_tuples(self, given: dict[str, Value]) -> None:
        """Write sizes in a list as a tuple."""
        for key, value in given.items():
            if type(value) is Node and key in _SIZES:
                given[key] = self._listed(value, "(", ")")

    def _listed(self, value: Value, opening: str, closing: str) -> Value:
        """Write elements that are spelt out in these brackets."""
        layer = value.layer if type(value) is Node else None
        if layer is None or layer[0] != "display" or value.parts[0] == opening:  # type: ignore[union-attr]
            return value
        return self.display(opening, layer[1], closing)

    def applied(self, callee: Value, arguments: Arguments) -> Value:
        """Read a call of a layer, or of anything else that was computed."""
        if type(callee) is str and not callee.startswith(("%", "'", '"')):
            return self._external(callee, arguments)
        layer = callee.layer if type(callee) is Node else None
        if layer is not None and len(arguments.positional) == 1 and not arguments.named and not arguments.is_open:
            value = self._applied_layer(layer, arguments.positional[0])
            if value is not None:
                callee.is_applied = True  # type: ignore[union-attr]
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
            names = TORCH[APPLIED[name]].places
            given: dict[str, Value] = {n: v for n, v in (LAYERS[name].defaults | made).items() if n in names}
            if "training" in names:
                given["training"] = f"{SELF}.training"
            return self._function(APPLIED[name], Arguments([value], given))
        return None

    # Methods of what was computed

    def _method(self, base: Value, name: str, arguments: Arguments) -> Value:
        if name in self.facts.methods or (name in self.facts.stores and name not in METHODS):
            return self.step(base, self.label(name), *arguments.parts)
        if name in MUTATING and not (name in OPERATORS and is_of_torch(base)):
            return self._mutation(base, name, arguments)
        if ALIASES.get(name, name) in METHODS or (name == "view" and is_flattening(base, arguments)):
            return self._function_of(base, name, arguments)
        if (
            name == "size"
            and len(arguments.positional) + len(arguments.named) <= 1
            and {"dim"} >= arguments.named.keys()
        ):
            return self._size(base, *arguments.positional, *arguments.named.values())
        arguments = _packed(self, name, arguments)
        return self.step(f".{name}", "(", base, *arguments.parts[1:])

    def _function_of(self, base: Value, name: str, arguments: Arguments) -> Value:
        """Read a method that torch has as a function too."""
        if name in ("view", "reshape") and is_flattening(base, arguments):
            return self._function("flatten", Arguments([base, 1], {}))
        arguments = _packed(self, name, arguments)
        name = ALIASES.get(name, name)
        qualified = name if name in TORCH else f"torch.{name}"
        return self._function(qualified, Arguments([base, *arguments.positional], *arguments[1:]))

    def _size(self, base: Value, *dimension: Value) -> Value:
        """Read all sizes of a tensor, or one."""
        shape = self.shape(base)
        if not dimension:
            return shape
        return self.fixed(shape, "[", dimension[0], "]")

    def _mutation(self, base: Value, name: str, arguments: Arguments) -> Value:
        """Read a call that changes its object: what was computed from it before is written first."""
        if type(base) is Node:
            base.layer = None
        self.put(base)
        self.stream.flush(portable=True)
        return self.put(self.step(f".{name}", "(", base, *arguments.parts[1:]))


def _packed(reader: Expressions, name: str, arguments: Arguments) -> Arguments:
    """Pack sizes that a method takes one by one into one tuple; leave a single size as it is."""
    if name not in VARIADIC or arguments.named or arguments.is_open or len(arguments.positional) < 2:
        return arguments
    return Arguments([reader.display("(", list(arguments.positional), ")")], {})
