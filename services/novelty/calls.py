"""Reading calls of what the file defines; a function that is called only once is read in place."""

import ast
from collections.abc import Mapping, Sequence
from typing import ClassVar

from services.novelty.binding import Arguments
from services.novelty.call_signatures import canonical
from services.novelty.constants import Sizes
from services.novelty.forms import is_move
from services.novelty.frames import Frame
from services.novelty.names import SELF, Reading, Value
from services.novelty.program import ALWAYS, FUNCTIONS, Function, Program, Unit, parameters
from services.novelty.torch_calls import TorchCalls
from services.novelty.trees import nodes

_INNER = frozenset({ast.Lambda, ast.FunctionDef, ast.AsyncFunctionDef, ast.NamedExpr})
_STRAIGHT = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr)


class Calls(TorchCalls):
    """Reads calls of what the file defines, on top of calls of torch."""

    def __init__(self, program: Program, sizes: Sizes) -> None:
        super().__init__(program, sizes)
        self.methods: Mapping[str, Function] = {}

    def _call(self, node: ast.Call) -> Value:
        callee = node.func
        if type(callee) is ast.Name:
            return self._call_of_name(node, callee)
        if type(callee) is ast.Attribute:
            return self._call_of_attribute(node, callee)
        return self.applied(self.value(callee), self.arguments(node))

    def _call_of_name(self, node: ast.Call, callee: ast.Name) -> Value:
        if callee.id == "super":
            return self.step("super", *self.arguments(node).parts) if node.args else "super"
        found = self.frame.find(callee.id)
        if found is not None or callee.id in self.frame.declared:
            return self.applied(self._name(callee), self.arguments(node))
        unit = self.program.units.get(callee.id)
        if unit is not None:
            return self._call_of_unit(node, callee.id, unit)
        if callee.id in self.program.constants:
            return self.applied(self._name(callee), self.arguments(node))
        return self.external(canonical(self.program.imports.get(callee.id, callee.id)), node)

    def _call_of_attribute(self, node: ast.Call, callee: ast.Attribute) -> Value:
        imported = self.imported(callee)
        if imported is not None:
            return self.external(imported, node)
        base = self.value(callee.value)
        if is_move(node, callee.attr):
            return base
        if base == SELF:
            return self._call_of_own(node, callee.attr)
        return self._method(base, callee.attr, self.arguments(node))

    def _call_of_own(self, node: ast.Call, name: str) -> Value:
        if name in self.frame.fields:
            return self.applied(self.frame.fields[name], self.arguments(node))
        method = self.method_once(name)
        if method is not None:
            inlined = self.inlined(method, self.arguments(node), instance=True)
            if inlined is not None:
                self.named.add(name)
                return inlined
        return self.step(SELF, self.label(name), *self.arguments(node).parts)

    def method_once(self, name: str) -> Function | None:
        """Return a method of this class if the program mentions it exactly once, otherwise None."""
        facts = self.facts
        if name[:2] == "__" or name in ALWAYS or name in self.named or facts.is_spelt_out(name):
            return None
        is_once = facts.attributes[name] == facts.methods[name] == 1 and not facts.stores[name]
        return self.methods.get(name) if is_once else None

    def _call_of_unit(self, node: ast.Call, name: str, unit: Unit) -> Value:
        arguments, function = self.arguments(node), _called(unit)
        if function is None or unit.statements:
            return self.step(unit.token, *arguments.parts)
        is_method = isinstance(unit.node, ast.ClassDef)
        if not is_method and self.facts.names[name] == 1:
            inlined = self.inlined(function, arguments, instance=False)
            if inlined is not None:
                self.named.add(name)
                return inlined
        make = self.step if self.facts.stateful else self.stable
        return make(unit.token, *self._by_position(function, arguments, skipped=int(is_method)).parts)

    def _by_position(self, function: Function, arguments: Arguments, *, skipped: int) -> Arguments:
        """Name arguments by the number of their parameter, and drop those that equal the default."""
        spec = function.args
        names = [arg.arg for arg in (*spec.posonlyargs, *spec.args)][skipped:]
        if arguments.is_open or spec.vararg or len(arguments.positional) > len(names):
            return arguments
        given = dict(zip(names, arguments.positional, strict=False))
        every = [*names, *(arg.arg for arg in spec.kwonlyargs)]
        if not arguments.named.keys() <= set(every) - given.keys():
            return arguments
        given |= arguments.named
        defaults = self._defaults(function)
        required = [name for name in names if name not in defaults]
        if not all(name in given for name in required):
            return arguments
        kept = {
            f"%{place:02}": given[name]
            for place, name in enumerate(every)
            if name in given and name not in required and given[name] != defaults.get(name)
        }
        return Arguments([given[name] for name in required], kept)

    def _defaults(self, function: Function) -> dict[str, Value]:
        spec = function.args
        positional = [arg.arg for arg in (*spec.posonlyargs, *spec.args)]
        pairs = [*zip(reversed(positional), reversed(spec.defaults), strict=False)]
        pairs += [(arg.arg, d) for arg, d in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if d is not None]
        return {name: self.of_module(default) for name, default in pairs}

    def inlined(self, function: Function, arguments: Arguments, *, instance: bool) -> Value | None:
        """Read a function in place of its only call; return its result, or None if it cannot be read in place."""
        if not self._is_straight(function) or arguments.is_open or function.args.vararg or function.args.kwarg:
            return None
        names = parameters(function)[int(instance) :]
        given = dict(zip(names, arguments.positional, strict=False)) | arguments.named
        if len(arguments.positional) > len(names) or len(given) != len(arguments.positional) + len(arguments.named):
            return None
        missing = set(names) - given.keys()
        defaults = self._defaults(function) if missing else {}
        if not missing <= defaults.keys() or not given.keys() <= set(names):
            return None
        frame = self.frame
        own: dict[str, Value] = {parameters(function)[0]: SELF} if instance else {}
        self.frame = Frame(
            values=own | {name: defaults[name] for name in missing} | {n: self.held(v) for n, v in given.items()},
            body=function.body,
            fields=frame.fields if instance else {},
            building=frame.building,
            portable=frame.portable,
            fresh=frame.fresh,
            depth=frame.depth,
        )
        try:
            return self.returned(function.body)
        finally:
            self.frame = frame

    def _is_straight(self, function: Function) -> bool:
        """Say whether a function has no branches, decorators or inner functions, and returns at its end or never."""
        body = [statement for statement in function.body if not self.is_noise(statement)]
        if not body or isinstance(function, ast.AsyncFunctionDef) or function.decorator_list:
            return False
        if (self.facts.nested or self.facts.walrus) and any(
            type(node) in _INNER for node in nodes(function) if node is not function
        ):
            return False
        return all(isinstance(s, _STRAIGHT) or (isinstance(s, ast.Return) and s is body[-1]) for s in body)

    def is_noise(self, statement: ast.stmt) -> bool:
        """Say whether a statement does nothing."""
        raise NotImplementedError

    def returned(self, body: Sequence[ast.stmt]) -> Value:
        """Read statements without branches; return what the last one returns."""
        raise NotImplementedError

    READINGS: ClassVar[Mapping[type[ast.AST], Reading]] = {**TorchCalls.READINGS, ast.Call: _call}


def _called(unit: Unit) -> Function | None:
    """Return the function that runs when a definition is called."""
    if isinstance(unit.node, FUNCTIONS):
        return unit.node
    functions = unit.members if isinstance(unit.node, ast.ClassDef) else []
    return next((f for f in functions if isinstance(f, FUNCTIONS) and f.name == "__init__"), None)
