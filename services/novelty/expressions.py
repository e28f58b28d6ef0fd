"""How names and expressions are written in canonical tokens."""

import ast
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from archloop.contracts.values import sha256_of
from services.novelty.program import Program, parameters
from services.novelty.scope import Instance, Scope, attribute_names

Sizes = Literal["kept", "bucketed", "ignored"]
_NAMING_CALLS = frozenset({"add_module", "register_module", "register_buffer", "register_parameter", "setattr"})
_LONG = 64


@dataclass(frozen=True)
class Bind:
    """An assignment takes effect here."""

    name: str


Item = str | ast.AST | Bind


class Expressions:
    """A node's expansion is a method named after its type; it answers with tokens and nodes yet to be expanded."""

    def __init__(self, program: Program, sizes: Sizes) -> None:
        self._program, self._sizes = program, sizes
        self._own_attributes = attribute_names(program)
        self._keywords = _keyword_positions(program)
        self._scope, self._instance = Scope(), Instance()

    def expand(self, node: ast.AST) -> Sequence[Item]:
        """One step: the node in terms of tokens and its children."""
        expand = getattr(self, f"_{type(node).__name__.lower()}", self._other)
        expanded: Sequence[Item] = expand(node)
        return expanded

    def _other(self, node: ast.AST) -> Sequence[Item]:
        children = [n for n in ast.iter_child_nodes(node) if not isinstance(n, ast.expr_context)]
        name = type(node).__name__
        return [name, "(", *children, ")"] if children else [name]

    # Names

    def _name(self, node: ast.Name) -> Sequence[Item]:
        if isinstance(node.ctx, ast.Store):
            return [Bind(node.id), "="]
        return [self._own(node.id) or self._program.imports.get(node.id, node.id)]

    def _own(self, name: str) -> str | None:
        """The canonical form of a name that the program defines."""
        if name == self._scope.instance:
            return "SELF"
        unit = self._program.units.get(name)
        return self._scope.token(name) or (unit.token if unit else None)

    def _attribute(self, node: ast.Attribute) -> Sequence[Item]:
        if isinstance(node.value, ast.Name) and node.value.id == self._scope.instance:
            return [self._self_attribute(node)]
        if self._is_qualified(node):
            return [node.attr]
        return [node.value, ".own" if node.attr in self._own_attributes else f".{node.attr}"]

    def _self_attribute(self, node: ast.Attribute) -> str:
        if isinstance(node.ctx, ast.Store):
            return "SELF="
        own = "SELF.own" if node.attr in self._own_attributes else f"SELF.{node.attr}"
        return self._instance.token(node.attr) or own

    def _is_qualified(self, node: ast.Attribute) -> bool:
        """Whether it is `module.name`, of which only the name counts."""
        root: ast.expr = node
        while isinstance(root, ast.Attribute):
            root = root.value
        return isinstance(root, ast.Name) and root.id != "super" and self._own(root.id) is None

    # Expressions

    def _call(self, node: ast.Call) -> Sequence[Item]:
        callee = node.func
        if isinstance(callee, ast.Name) and callee.id == "super":
            return ["super"]
        arguments: list[Item] = list(node.args)
        if getattr(callee, "attr", getattr(callee, "id", "")) in _NAMING_CALLS:
            arguments = ["STR" if _is_text(a) else a for a in node.args]
        return [callee, "(", *arguments, *self._keyword_arguments(node), ")"]

    def _keyword_arguments(self, node: ast.Call) -> Iterable[Item]:
        """Sorted, since their order means nothing; called by position where the program named them."""
        external = isinstance(node.func, ast.Name | ast.Attribute) and self._is_external(node.func)
        named = [(self._keyword_token(k.arg, external=external), k.value) for k in node.keywords]
        for token, value in sorted(named, key=lambda pair: pair[0]):
            yield from (token, value)

    def _is_external(self, callee: ast.Name | ast.Attribute) -> bool:
        return self._own(callee.id) is None if isinstance(callee, ast.Name) else self._is_qualified(callee)

    def _keyword_token(self, name: str | None, *, external: bool) -> str:
        if name is None:
            return "**"
        return f"{name}=" if external or name not in self._keywords else f"KW{self._keywords[name]}="

    def _constant(self, node: ast.Constant) -> Sequence[Item]:
        value = node.value
        if isinstance(value, int) and not isinstance(value, bool):
            return [_integer(value, self._sizes)]
        text = repr(value)
        return [text if len(text) <= _LONG else f"LONG{sha256_of(text)[:16]}"]

    def _joinedstr(self, _: ast.JoinedStr) -> Sequence[Item]:
        return ["STR"]

    def _tuple(self, node: ast.Tuple) -> Sequence[Item]:
        match node.elts:
            case [ast.Constant(value=str()), ast.Call() as layer]:
                return ["(", "STR", layer, ")"]
        return ["(", *node.elts, ")"]

    def _dict(self, node: ast.Dict) -> Sequence[Item]:
        pairs = zip(node.keys, node.values, strict=True)
        items: list[Item] = ["{"]
        for key, value in pairs:
            items += ["**" if key is None else "STR" if _is_text(key) else key, value]
        return [*items, "}"]

    def _binop(self, node: ast.BinOp) -> Sequence[Item]:
        return [type(node.op).__name__, "(", node.left, node.right, ")"]

    def _subscript(self, node: ast.Subscript) -> Sequence[Item]:
        return [node.value, "[", node.slice, "]"]

    def _slice(self, node: ast.Slice) -> Sequence[Item]:
        return [part or "_" for part in (node.lower, node.upper, node.step)]

    def _ifexp(self, node: ast.IfExp) -> Sequence[Item]:
        return ["if", node.test, node.body, "else", node.orelse, "end"]

    def _lambda(self, node: ast.Lambda) -> Sequence[Item]:
        return ["lambda", *map(Bind, parameters(node)), node.body, "end"]

    def _comprehension(self, node: ast.comprehension) -> Sequence[Item]:
        return ["for", node.iter, node.target, *node.ifs]

    def _listcomp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> Sequence[Item]:
        return [type(node).__name__, "(", *node.generators, node.elt, ")"]

    _setcomp = _generatorexp = _listcomp

    def _dictcomp(self, node: ast.DictComp) -> Sequence[Item]:
        return ["DictComp", "(", *node.generators, node.key, node.value, ")"]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _integer(value: int, sizes: Sizes) -> str:
    if sizes == "ignored":
        return "INT"
    if value.bit_length() > _LONG:
        return f"INT{value.bit_length()}"
    return str(2 ** round(math.log2(value))) if sizes == "bucketed" and value > 1 else str(value)


def _keyword_positions(program: Program) -> dict[str, int]:
    """Parameter names that the program gave, and their position where they first occur."""
    positions: dict[str, int] = {}
    for unit in program.units.values():
        for function in unit.functions:
            for position, name in enumerate(parameters(function)):
                positions.setdefault(name, position)
    return positions
