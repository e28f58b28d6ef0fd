"""Calls and expressions that change something besides computing a value."""

import ast

from services.novelty.trees import walk

GROWING = frozenset({"append", "extend", "insert", "add"})
CHANGING = frozenset({"pop", "remove", "clear", "sort", "reverse", "update", "setdefault", "popitem"})
MUTATING = GROWING | CHANGING
"""Methods that change a list, a dictionary or a set."""


def root(node: ast.expr) -> str:
    """Return the variable at the root of an attribute or element; empty if there is none."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def does_more(*expressions: ast.expr) -> bool:
    """Say whether evaluating the expressions changes something."""
    for part in (node for expression in expressions for node in walk(expression)):
        match part:
            case ast.NamedExpr() | ast.Call(func=ast.Name(id="next" | "setattr")):
                return True
            case ast.Call(func=ast.Attribute(attr=name)) if name in MUTATING or name.endswith("_"):
                return True
    return False
