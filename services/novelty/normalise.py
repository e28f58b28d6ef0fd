"""Source to the canonical tokens of its architecture.

What counts: layers, operators, structure, order of evaluation and sizes. What does not: formatting, comments,
docstrings, annotations, the training recipe, definitions that `Net` never reaches, and how anything that the
program itself names is spelt. Tokens follow the order of evaluation, in prefix form.
"""

import ast
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from archloop.contracts.values import sha256_of
from services.novelty.program import FUNCTIONS, Program, Unit, parameters, read
from services.novelty.scope import Instance, Scope, attribute_names

VERSION = 1
Sizes = Literal["kept", "bucketed"]
_NAMING_CALLS = frozenset({"add_module", "register_module", "register_buffer", "register_parameter", "setattr"})
_LONG = 64


@dataclass(frozen=True)
class _Bind:
    """An assignment takes effect here."""

    name: str


_Item = str | ast.AST | _Bind


def normalise(source: str, sizes: Sizes = "kept") -> tuple[str, ...]:
    """Canonical tokens; `sizes` keeps integers or rounds them to powers of two. Raises UnreadableSource."""
    return tokens(read(source), sizes)


def tokens(program: Program, sizes: Sizes = "kept") -> tuple[str, ...]:
    """Canonical tokens of a program that has been read."""
    writer = _Writer(program, sizes)
    for unit in program.units.values():
        writer.write(unit)
    return tuple(writer.tokens)


class _Writer:
    """Expands nodes on an explicit stack; a node's expansion is a method named after its type."""

    def __init__(self, program: Program, sizes: Sizes) -> None:
        self.tokens: list[str] = []
        self._program, self._sizes = program, sizes
        self._own_attributes = attribute_names(program)
        self._keywords = _keyword_positions(program)
        self._scope, self._instance = Scope(), Instance()

    def write(self, unit: Unit) -> None:
        is_class = isinstance(unit.node, ast.ClassDef)
        self._instance = Instance.of(unit, self._program) if is_class else Instance()
        self.tokens.append(f"{unit.token}:")
        if isinstance(unit.node, ast.ClassDef):
            self._run([*unit.node.bases, *unit.node.keywords], unit.node, method=False)
        for node in unit.members if is_class else [unit.node]:
            self._run([*self._signature(node), *_body(node)], node, method=is_class)

    def _run(self, items: Sequence[_Item], owner: ast.AST, *, method: bool) -> None:
        self._scope = Scope.of(owner, method=method)
        self._instance.start()
        stack = list(reversed(items))
        while stack:
            item = stack.pop()
            if isinstance(item, str):
                self.tokens.append(item)
            elif isinstance(item, _Bind):
                self._scope.bind(item.name)
            else:
                stack.extend(reversed(self._expand(item)))

    def _expand(self, node: ast.AST) -> Sequence[_Item]:
        expand = getattr(self, f"_{type(node).__name__.lower()}", self._other)
        expanded: Sequence[_Item] = expand(node)
        return expanded

    def _other(self, node: ast.AST) -> Sequence[_Item]:
        children = [n for n in ast.iter_child_nodes(node) if not isinstance(n, ast.expr_context)]
        name = type(node).__name__
        return [name, "(", *children, ")"] if children else [name]

    def _signature(self, node: ast.AST) -> Sequence[_Item]:
        if not isinstance(node, FUNCTIONS):
            return []
        name = node.name if node.name in ("__init__", "forward", "__call__") else "def"
        defaults = [default for default in (*node.args.defaults, *node.args.kw_defaults) if default]
        return [name, "(", str(len(parameters(node))), *defaults, ")"]

    # Names

    def _name(self, node: ast.Name) -> Sequence[_Item]:
        if isinstance(node.ctx, ast.Store):
            return [_Bind(node.id), "="]
        return [self._own(node.id) or self._program.imports.get(node.id, node.id)]

    def _own(self, name: str) -> str | None:
        """The canonical form of a name that the program defines."""
        if name == self._scope.instance:
            return "SELF"
        unit = self._program.units.get(name)
        return self._scope.token(name) or (unit.token if unit else None)

    def _attribute(self, node: ast.Attribute) -> Sequence[_Item]:
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

    def _call(self, node: ast.Call) -> Sequence[_Item]:
        callee = node.func
        if isinstance(callee, ast.Name) and callee.id == "super":
            return ["super"]
        arguments: list[_Item] = list(node.args)
        if getattr(callee, "attr", getattr(callee, "id", "")) in _NAMING_CALLS:
            arguments = ["STR" if _is_text(a) else a for a in node.args]
        return [callee, "(", *arguments, *self._keyword_arguments(node), ")"]

    def _keyword_arguments(self, node: ast.Call) -> Iterable[_Item]:
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

    def _constant(self, node: ast.Constant) -> Sequence[_Item]:
        value = node.value
        if isinstance(value, int) and not isinstance(value, bool):
            return [_integer(value, self._sizes)]
        text = repr(value)
        return [text if len(text) <= _LONG else f"LONG{sha256_of(text)[:16]}"]

    def _joinedstr(self, _: ast.JoinedStr) -> Sequence[_Item]:
        return ["STR"]

    def _tuple(self, node: ast.Tuple) -> Sequence[_Item]:
        match node.elts:
            case [ast.Constant(value=str()), ast.Call() as layer]:
                return ["(", "STR", layer, ")"]
        return ["(", *node.elts, ")"]

    def _dict(self, node: ast.Dict) -> Sequence[_Item]:
        pairs = zip(node.keys, node.values, strict=True)
        items: list[_Item] = ["{"]
        for key, value in pairs:
            items += ["**" if key is None else "STR" if _is_text(key) else key, value]
        return [*items, "}"]

    def _binop(self, node: ast.BinOp) -> Sequence[_Item]:
        return [type(node.op).__name__, "(", node.left, node.right, ")"]

    def _subscript(self, node: ast.Subscript) -> Sequence[_Item]:
        return [node.value, "[", node.slice, "]"]

    def _slice(self, node: ast.Slice) -> Sequence[_Item]:
        return [part or "_" for part in (node.lower, node.upper, node.step)]

    def _ifexp(self, node: ast.IfExp) -> Sequence[_Item]:
        return ["if", node.test, node.body, "else", node.orelse, "end"]

    def _lambda(self, node: ast.Lambda) -> Sequence[_Item]:
        return ["lambda", *map(_Bind, parameters(node)), node.body, "end"]

    def _comprehension(self, node: ast.comprehension) -> Sequence[_Item]:
        return ["for", node.iter, node.target, *node.ifs]

    def _listcomp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> Sequence[_Item]:
        return [type(node).__name__, "(", *node.generators, node.elt, ")"]

    _setcomp = _generatorexp = _listcomp

    def _dictcomp(self, node: ast.DictComp) -> Sequence[_Item]:
        return ["DictComp", "(", *node.generators, node.key, node.value, ")"]

    # Statements

    def _expr(self, node: ast.Expr) -> Sequence[_Item]:
        return [node.value]

    def _assign(self, node: ast.Assign) -> Sequence[_Item]:
        return [node.value, *node.targets]

    def _annassign(self, node: ast.AnnAssign) -> Sequence[_Item]:
        return [node.value, node.target] if node.value else []

    def _namedexpr(self, node: ast.NamedExpr) -> Sequence[_Item]:
        return [node.value, node.target]

    def _augassign(self, node: ast.AugAssign) -> Sequence[_Item]:
        return [type(node.op).__name__, "(", _loaded(node.target), node.value, ")", node.target]

    def _return(self, node: ast.Return) -> Sequence[_Item]:
        return ["return", node.value or "None"]

    def _if(self, node: ast.If | ast.While) -> Sequence[_Item]:
        orelse: list[_Item] = ["else", *node.orelse] if node.orelse else []
        return [type(node).__name__.lower(), node.test, *node.body, *orelse, "end"]

    _while = _if

    def _for(self, node: ast.For | ast.AsyncFor) -> Sequence[_Item]:
        return ["for", node.iter, node.target, *node.body, *node.orelse, "end"]

    _asyncfor = _for

    def _import(self, _: ast.Import | ast.ImportFrom) -> Sequence[_Item]:
        return []

    _importfrom = _import

    def _functiondef(self, node: ast.FunctionDef) -> Sequence[_Item]:
        """One inside another function; its variables are treated as those of the outer one."""
        return [_Bind(node.name), *map(_Bind, parameters(node)), *self._signature(node), *node.body, "end"]

    _asyncfunctiondef = _functiondef

    def _classdef(self, node: ast.ClassDef) -> Sequence[_Item]:
        return [_Bind(node.name), "class", *node.bases, *node.body, "end"]


def _body(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, ast.Module):
        return list(node.body)
    return list(node.body) if isinstance(node, FUNCTIONS) else [node]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _integer(value: int, sizes: Sizes) -> str:
    if value.bit_length() > _LONG:
        return f"INT{value.bit_length()}"
    return str(2 ** round(math.log2(value))) if sizes == "bucketed" and value > 1 else str(value)


def _loaded(target: ast.Name | ast.Attribute | ast.Subscript) -> ast.expr:
    """The same place, read instead of written."""
    match target:
        case ast.Name():
            return ast.Name(target.id, ast.Load())
        case ast.Attribute():
            return ast.Attribute(target.value, target.attr, ast.Load())
    return ast.Subscript(target.value, target.slice, ast.Load())


def _keyword_positions(program: Program) -> dict[str, int]:
    """Parameter names that the program gave, and their position where they first occur."""
    positions: dict[str, int] = {}
    for unit in program.units.values():
        for function in unit.functions:
            for position, name in enumerate(parameters(function)):
                positions.setdefault(name, position)
    return positions
