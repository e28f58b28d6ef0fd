"""What changes something besides computing a value: calls, expressions, statements at module level."""

import ast

from services.novelty.trees import walk

GROWING = frozenset({"append", "extend", "insert", "add"})
CHANGING = frozenset({"pop", "remove", "clear", "sort", "reverse", "update", "setdefault", "popitem"})
MUTATING = GROWING | CHANGING
"""Methods that change a list, a dictionary or a set."""

_ASIDE = frozenset({"print", "warnings", "logging", "logger", "sys", "os", "np", "numpy", "random", "gc", "matplotlib"})
_DRAWING = frozenset({"shuffle", "sample", "choice", "choices", "permutation", "uniform", "normal"})
_SEEDING = frozenset({"seed", "manual_seed", "manual_seed_all", "default_rng"})
_SETTINGS = frozenset({"manual_seed", "backends", "set_float32_matmul_precision", "set_num_threads", "cuda"})


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


def draws(called: str) -> bool:
    """Say whether what is called by this last name takes numbers from the random generator."""
    return called not in _SEEDING and ("rand" in called or called in _DRAWING)


def is_silent(statement: ast.stmt) -> bool:
    """Say whether a statement does nothing for the network: documentation, checks, imports."""
    match statement:
        case ast.Expr(value=ast.Constant()) | ast.Pass() | ast.Assert() | ast.AnnAssign(value=None):
            return True
        case ast.Import() | ast.ImportFrom():
            return True
        case ast.Try(body=body, handlers=handlers, orelse=[], finalbody=[]):
            return all(is_silent(s) for part in (body, *(h.body for h in handlers)) for s in part)
    return False


def is_aside(statement: ast.stmt) -> bool:
    """Say whether a statement only prints, seeds or sets a switch."""
    match statement:
        case ast.Expr(value=ast.Call(func=target)) | ast.Assign(targets=[target]):
            names = dotted(target)
            return (names[:2] != ["sys", "modules"] and names[0] in _ASIDE) or (
                len(names) > 1 and names[1] in _SETTINGS
            )
    return False


def dotted(node: ast.expr) -> list[str]:
    """Split a dotted name into its parts; the first is empty if it does not start at a variable."""
    names: list[str] = []
    while isinstance(node, ast.Attribute | ast.Subscript):
        names += [node.attr] if isinstance(node, ast.Attribute) else []
        node = node.value
    return [getattr(node, "id", ""), *reversed(names)]
