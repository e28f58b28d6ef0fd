"""Source to the canonical tokens of its architecture.

What counts: layers, operators, structure, order of evaluation and sizes. What does not: formatting, comments,
docstrings, annotations, the training recipe, definitions that `Net` never reaches, and how anything that the
program itself names is spelt. Tokens follow the order of evaluation, in prefix form.
"""

import ast
from collections.abc import Sequence

from services.novelty.expressions import Bind, Expressions, Item, Sizes
from services.novelty.program import ALWAYS, FUNCTIONS, Program, Unit, parameters, read
from services.novelty.scope import Instance, Scope

VERSION = 1


def normalise(source: str, sizes: Sizes = "kept") -> tuple[str, ...]:
    """Canonical tokens; `sizes`: as they are, rounded to powers of two, or all alike. Raises UnreadableSource."""
    return tokens(read(source), sizes)


def tokens(program: Program, sizes: Sizes = "kept") -> tuple[str, ...]:
    """Canonical tokens of a program that has been read."""
    writer = _Writer(program, sizes)
    for unit in program.units.values():
        writer.write(unit)
    return tuple(writer.tokens)


class _Writer(Expressions):
    """Expands statements too, on an explicit stack."""

    def __init__(self, program: Program, sizes: Sizes) -> None:
        super().__init__(program, sizes)
        self.tokens: list[str] = []

    def write(self, unit: Unit) -> None:
        is_class = isinstance(unit.node, ast.ClassDef)
        self._instance = Instance.of(unit, self._program) if is_class else Instance()
        self.tokens.append(f"{unit.token}:")
        if isinstance(unit.node, ast.ClassDef):
            self._run([*unit.node.bases, *unit.node.keywords], unit.node, method=False)
        for node in unit.members if is_class else [unit.node]:
            self._run([*self._signature(node), *_body(node)], node, method=is_class)

    def _run(self, items: Sequence[Item], owner: ast.AST, *, method: bool) -> None:
        self._scope = Scope.of(owner, method=method)
        self._instance.start()
        stack = list(reversed(items))
        while stack:
            item = stack.pop()
            if isinstance(item, str):
                self.tokens.append(item)
            elif isinstance(item, Bind):
                self._scope.bind(item.name)
            else:
                stack.extend(reversed(self.expand(item)))

    def _signature(self, node: ast.AST) -> Sequence[Item]:
        if not isinstance(node, FUNCTIONS):
            return []
        name = node.name if node.name in ALWAYS else "def"
        defaults = [default for default in (*node.args.defaults, *node.args.kw_defaults) if default]
        return [name, "(", str(len(parameters(node))), *defaults, ")"]

    def _expr(self, node: ast.Expr) -> Sequence[Item]:
        return [node.value]

    def _assign(self, node: ast.Assign) -> Sequence[Item]:
        return [node.value, *node.targets]

    def _annassign(self, node: ast.AnnAssign) -> Sequence[Item]:
        return [node.value, node.target] if node.value else []

    def _namedexpr(self, node: ast.NamedExpr) -> Sequence[Item]:
        return [node.value, node.target]

    def _augassign(self, node: ast.AugAssign) -> Sequence[Item]:
        return [type(node.op).__name__, "(", _loaded(node.target), node.value, ")", node.target]

    def _return(self, node: ast.Return) -> Sequence[Item]:
        return ["return", node.value or "None"]

    def _if(self, node: ast.If | ast.While) -> Sequence[Item]:
        orelse: list[Item] = ["else", *node.orelse] if node.orelse else []
        return [type(node).__name__.lower(), node.test, *node.body, *orelse, "end"]

    _while = _if

    def _for(self, node: ast.For | ast.AsyncFor) -> Sequence[Item]:
        return ["for", node.iter, node.target, *node.body, *node.orelse, "end"]

    _asyncfor = _for

    def _import(self, _: ast.Import | ast.ImportFrom) -> Sequence[Item]:
        return []

    _importfrom = _import

    def _functiondef(self, node: ast.FunctionDef) -> Sequence[Item]:
        """One inside another function; its variables are treated as those of the outer one."""
        return [Bind(node.name), *map(Bind, parameters(node)), *self._signature(node), *node.body, "end"]

    _asyncfunctiondef = _functiondef

    def _classdef(self, node: ast.ClassDef) -> Sequence[Item]:
        return [Bind(node.name), "class", *node.bases, *node.body, "end"]


def _body(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, ast.Module):
        return list(node.body)
    return list(node.body) if isinstance(node, FUNCTIONS) else [node]


def _loaded(target: ast.Name | ast.Attribute | ast.Subscript) -> ast.expr:
    """The same place, read instead of written."""
    match target:
        case ast.Name():
            return ast.Name(target.id, ast.Load())
        case ast.Attribute():
            return ast.Attribute(target.value, target.attr, ast.Load())
    return ast.Subscript(target.value, target.slice, ast.Load())
