"""LEMUR's contract for a network, read from the source: cheap, before anything of it is executed.

The list of imports is no protection, the sandbox is; it tells at once, and by name, that a package is not here.
"""

import ast
from collections.abc import Iterable, Iterator

from services.evaluator.harness.flaw import Flaw

METHODS = ("__init__", "forward", "train_setup", "learn")
SUPPORTED = "supported_hyperparameters"
_IMPORTS = """
    torch numpy math cmath random statistics fractions decimal numbers operator functools itertools collections
    typing types abc dataclasses enum copy re string textwrap json struct array heapq bisect weakref contextlib
    warnings logging traceback inspect time datetime gc os sys __future__
"""
IMPORTS = frozenset(_IMPORTS.split())


def check(tree: ast.Module) -> None:
    """Raises Flaw `contract_error` naming what is missing or not allowed."""
    for node in _imports(tree):
        _check_import(node)
    bound = set(_bound_names(tree.body))
    for name, what in (("Net", "class Net(nn.Module)"), (SUPPORTED, f"function {SUPPORTED}()")):
        if name not in bound and "*" not in bound:
            raise Flaw("contract_error", f"no {what} at the top level of the module")
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef) and statement.name == "Net":
            _check_net(statement)


def _check_import(node: ast.Import | ast.ImportFrom) -> None:
    if isinstance(node, ast.ImportFrom) and node.level:
        raise Flaw("contract_error", f"relative import: a candidate is one file (line {node.lineno})")
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    for name in names:
        if name.partition(".")[0] not in IMPORTS:
            expected = "torch, numpy and plain parts of the standard library"
            raise Flaw("contract_error", f"import of {name} is not allowed, only {expected} (line {node.lineno})")


def _imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """All but those that the candidate itself can do without: in a `try` that catches the failure."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node
    parts: Iterable[ast.AST] = ast.iter_child_nodes(node)
    if isinstance(node, ast.Try) and any(map(_catches_imports, node.handlers)):
        parts = (*node.handlers, *node.orelse, *node.finalbody)
    for part in parts:
        yield from _imports(part)


def _catches_imports(handler: ast.ExceptHandler) -> bool:
    caught = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)} if handler.type else None
    return caught is None or bool(caught & {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


def _bound_names(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        else:
            yield from (n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
            yield from (n.name for n in ast.walk(node) if isinstance(n, ast.ClassDef | ast.FunctionDef))


def _check_net(net: ast.ClassDef) -> None:
    """Methods may be inherited from the candidate's own classes; then only running it can tell."""
    if {ast.unparse(base) for base in net.bases} - {"nn.Module", "torch.nn.Module", "Module"} or net.keywords:
        return
    if not net.bases:
        raise Flaw("contract_error", f"class Net is no nn.Module (line {net.lineno})")
    bound = set(_bound_names(net.body))
    missing = [name for name in METHODS if name not in bound]
    if missing:
        raise Flaw("contract_error", f"class Net has no {missing[0]} (line {net.lineno})")
