"""The part of a source file that is its architecture: the definitions that `Net` reaches.

The source is read, never run. Every walk is a loop over an explicit queue, so that no nesting exhausts the stack.
"""

import ast
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeGuard

from archloop import sources
from archloop.errors import ArchloopError
from services.novelty.facts import Facts
from services.novelty.trees import walk

MAX_SOURCE_BYTES = 1024 * 1024
RECIPE = frozenset({"train_setup", "learn", "supported_hyperparameters"})
ALWAYS = ("__init__", "forward", "__call__")

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_ONE_AT_A_TIME = threading.Lock()
_DISTURBED_AT_MOST = 20


class UnreadableSource(ArchloopError):
    """Source that is no Python, or too large or too deep to be read; no retry will mend it."""

    code = "unreadable_source"


@dataclass
class Unit:
    """A reached module-level definition; of a class only the members that count, `__init__` and `forward` first.

    `token` is its canonical name: its kind, and its place in the order of first mention. `statements` is empty, or all
    that makes the definition what it is, in order, where that is more than one plain definition.
    """

    node: ast.AST
    members: list[ast.stmt] = field(default_factory=list)
    statements: list[ast.stmt] = field(default_factory=list)
    token: str = ""

    @property
    def functions(self) -> Iterator[Function]:
        """Yield the functions in it: its methods, or itself."""
        return (node for root in self.roots for node in _functions(root))

    @property
    def roots(self) -> list[ast.AST]:
        """Return the nodes that count: its statements, its members, or the definition itself."""
        return [*self.statements] or [*self.members] or [self.node]


@dataclass(frozen=True)
class Program:
    """The reached definitions in the order of first mention, constants apart, and what imports call things.

    `ordered` is what has to be read statement by statement, in the order of the file.
    """

    tree: ast.Module
    units: dict[str, Unit]
    constants: dict[str, ast.expr]
    imports: dict[str, str]
    facts: Facts
    ordered: list[ast.stmt]


def _functions(root: ast.AST) -> Iterator[Function]:
    if isinstance(root, FUNCTIONS):
        yield root
    elif isinstance(root, ast.stmt) and not isinstance(root, ast.Assign):
        yield from (node for node in walk(root) if isinstance(node, FUNCTIONS))


def self_name(function: Function) -> str:
    """Return the name by which a method knows its instance; empty if it has no parameter."""
    positional = function.args.posonlyargs + function.args.args
    return positional[0].arg if positional else ""


def parameters(function: Function | ast.Lambda) -> list[str]:
    """List all parameter names, in order."""
    spec = function.args
    starred = [arg for arg in (spec.vararg, spec.kwarg) if arg]
    return [arg.arg for arg in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *starred)]


def parse(source: str) -> ast.Module:
    """Parse a source. Raises UnreadableSource."""
    size = len(sources.encoded(source))
    if size > MAX_SOURCE_BYTES:
        raise UnreadableSource(f"source has {size} bytes; at most {MAX_SOURCE_BYTES} are read")
    try:
        return _undisturbed(sources.unmarked(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnreadableSource(f"source cannot be parsed: {type(error).__name__}: {error}") from error


def _undisturbed(source: str) -> ast.Module:
    """Parse, one thread at a time, and again after a SystemError.

    CPython's parser counts its depth for all threads, and raises SystemError if two are in it (its issue 106905).
    Another thread may still parse meanwhile, where it formats a traceback.
    """
    with _ONE_AT_A_TIME:
        for _ in range(_DISTURBED_AT_MOST):
            with suppress(SystemError):
                return ast.parse(source)
        return ast.parse(source)


def defined_names(node: ast.AST) -> list[str]:
    """Return the names that a definition or an assignment binds."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [n.id for target in targets for n in walk(target) if is_stored(n)]
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return [name]
    return []


def is_stored(node: ast.AST) -> TypeGuard[ast.Name]:
    """Say whether the node is a variable being assigned to."""
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
