"""Checks of LEMUR's contract that the source alone decides: cheap, before any of it is executed.

What only running it can tell (methods set later, imports in a function that is never called) is left to running it. The
list of packages does not protect, the sandbox does; it names a missing package early.
"""

import ast
import builtins
import sys
from collections.abc import Iterable, Iterator

from services.evaluator.harness.flaw import ALLOWED_IMPORTS, PACKAGES, Flaw

NET = "Net"
SUPPORTED = "supported_hyperparameters"
# What a program may change so that an import finds something of its own.
_PLACES = ("sys.modules", "meta_path", "path_hooks", "builtins")


def check(source: str, tree: ast.Module) -> None:
    """Raise Flaw `contract_error` that names what is missing or not allowed."""
    if not any(place in source for place in _PLACES):
        for node in _imports(tree.body):
            _check_import(node)
    for name, what in ((NET, "class Net(nn.Module)"), (SUPPORTED, f"function {SUPPORTED}()")):
        if name not in source:
            raise Flaw("contract_error", f"no {what} in the module")


def _check_import(node: ast.Import | ast.ImportFrom) -> None:
    if isinstance(node, ast.ImportFrom) and node.level:
        raise Flaw("contract_error", f"relative import: a candidate is one file (line {node.lineno})")
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    for name in names:
        if name.partition(".")[0] not in PACKAGES | sys.stdlib_module_names:
            raise Flaw("contract_error", f"import of {name} is not possible, {ALLOWED_IMPORTS} (line {node.lineno})")


def _imports(body: Iterable[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that are certain to be executed with the module."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from _imports(node.body)
        elif isinstance(node, ast.Try):
            yield from _imports(node.finalbody if any(map(_catches, node.handlers)) else node.body + node.finalbody)


def _catches(handler: ast.ExceptHandler) -> bool:
    """Return whether the handler may catch a failed import: not where it names other built-in exceptions only."""
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    named = [getattr(builtins, node.id, None) if isinstance(node, ast.Name) else None for node in types]
    return any(not isinstance(each, type) or issubclass(ModuleNotFoundError, each) for each in named)
