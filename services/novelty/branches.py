"""The branches of a file that are taken, and what its imports mean."""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from services.novelty.frames import stored_names
from services.novelty.program import FUNCTIONS
from services.novelty.trees import statements

_SCOPES = (*FUNCTIONS, ast.ClassDef)


def truths(tree: ast.Module) -> dict[str, bool]:
    """Map each name that is assigned once, to a constant, to that constant's truth value."""
    stored = Counter(name for statement in tree.body for name in stored_names(statement))
    assigned = (s for s in tree.body if isinstance(s, ast.Assign) and isinstance(s.value, ast.Constant))
    names = ((target.id, s.value) for s in assigned for target in s.targets if isinstance(target, ast.Name))
    return {name: bool(value.value) for name, value in names if stored[name] == 1 and isinstance(value, ast.Constant)}


def taken(body: Sequence[ast.stmt], known: Mapping[str, bool]) -> Iterator[ast.stmt]:
    """Yield the statements; an `if` whose test is known is replaced by the branch that it takes."""
    for statement in body:
        truth = _truth(statement.test, known) if isinstance(statement, ast.If) else None
        if truth is None or not isinstance(statement, ast.If):
            yield statement
        else:
            yield from taken(statement.body if truth else statement.orelse, known)


def _truth(test: ast.expr, known: Mapping[str, bool]) -> bool | None:
    match test:
        case ast.Constant(value=value):
            return bool(value)
        case ast.Name(id=name):
            return known.get(name)
        case (
            ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")])
            | ast.Compare(left=ast.Constant(value="__main__"), ops=[ast.Eq()], comparators=[ast.Name(id="__name__")])
        ):
            return False
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            truth = _truth(operand, known)
            return None if truth is None else not truth
    return None


def imported(body: Sequence[ast.stmt]) -> dict[str, list[str]]:
    """Map each name that is imported at module level to the full names that it may stand for, in order."""
    found: dict[str, list[str]] = {}
    for node in (n for statement in body if not isinstance(statement, _SCOPES) for n in statements(statement)):
        for name, full in imported_names(node):
            if full not in found.setdefault(name, []):
                found[name].append(full)
    return found


def imported_names(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the names that an import binds, each with its full name."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            first = alias.name.partition(".")[0]
            yield (alias.asname, alias.name) if alias.asname else (first, first)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name, f"{node.module or ''}.{alias.name}"
