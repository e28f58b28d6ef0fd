"""Walks over syntax trees, in the order of `ast.walk` and several times as fast.

Contexts, operators and annotations are left out: nothing needs them, and they are a third of all nodes.
"""

import ast
from collections.abc import Callable, Iterator
from functools import lru_cache
from operator import attrgetter
from typing import Any

_CONTEXTS = {"ctx", "op", "ops", "annotation", "returns", "type_comment", "type_ignores", "is_async"}
_TEXTS = {"id", "attr", "arg", "name", "asname", "module", "level", "kind", "conversion", "simple", "rest", "kwd_attrs"}
_LEAVES = (ast.Constant, ast.MatchSingleton, ast.Global, ast.Nonlocal)
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def _reader(kind: type[ast.AST]) -> Callable[[Any], Any] | None:
    """Return what reads those fields that hold nodes: one as it is, several as a tuple; None if there are none."""
    names = [] if issubclass(kind, _LEAVES) else [name for name in kind._fields if name not in _CONTEXTS | _TEXTS]
    return attrgetter(*names) if names else None


_READERS = {kind: _reader(kind) for kind in vars(ast).values() if isinstance(kind, type) and issubclass(kind, ast.AST)}
_BLOCKS_OF: dict[type[ast.AST], tuple[str, ...]] = {
    kind: tuple(name for name in _BLOCKS if name in kind._fields)
    for kind in _READERS
    if issubclass(kind, (ast.Module, ast.stmt, ast.excepthandler, ast.match_case))
}


def walk(root: ast.AST) -> Iterator[ast.AST]:
    """Yield the node and all below it, breadth first."""
    queue = [root]
    for node in queue:
        yield node
        if _READERS[type(node)] is not None:
            queue += children(node)


@lru_cache(maxsize=128)
def nodes(root: ast.AST) -> tuple[ast.AST, ...]:
    """Return what `walk` yields, cached: a function is walked several times. Do not change the tree afterwards."""
    return tuple(walk(root))


def children(node: ast.AST) -> list[ast.AST]:
    """List the child nodes, in order of reading."""
    reader = _READERS[type(node)]
    if reader is None:
        return []
    parts = reader(node)
    found: list[ast.AST] = []
    for part in parts if type(parts) is tuple else (parts,):
        if type(part) is list:
            # Keys and defaults may be missing.
            found += part if None not in part else [one for one in part if one is not None]
        elif part is not None:
            found.append(part)
    return found


def statements(root: ast.AST) -> Iterator[ast.AST]:
    """Yield the node and every statement, handler and case below it, breadth first."""
    queue = [root]
    for node in queue:
        yield node
        for name in _BLOCKS_OF.get(type(node), ()):
            queue += getattr(node, name)
