"""Walks over syntax trees, in the order of `ast.walk` and several times as fast.

Contexts, operators and annotations are left out: nothing needs them, and they are a third of all nodes.
"""

import ast
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

_CONTEXTS = {"ctx", "op", "ops", "annotation", "returns", "type_comment", "type_ignores", "is_async"}
_TEXTS = {"id", "attr", "arg", "name", "asname", "module", "level", "kind", "conversion", "simple", "rest", "kwd_attrs"}
_LEAVES = (ast.Constant, ast.MatchSingleton, ast.Global, ast.Nonlocal)
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_TARGETS = {*_BLOCKS, "targets", "target", "elts", "items", "optional_vars", "pattern", "patterns", "kwd_patterns"}
_Reader = Callable[[Any], Any]


def _fields(kind: type[ast.AST]) -> list[str]:
    return [] if issubclass(kind, _LEAVES) else [name for name in kind._fields if name not in _CONTEXTS | _TEXTS]


def _reader(names: Sequence[str]) -> _Reader | None:
    """Return what reads these fields: one as it is, several as a tuple; None if there are none."""
    return attrgetter(*names) if names else None


_KINDS = [kind for kind in vars(ast).values() if isinstance(kind, type) and issubclass(kind, ast.AST)]
_READERS = {kind: _reader(_fields(kind)) for kind in _KINDS}
_TARGETS_OF = {kind: _reader([name for name in _fields(kind) if name in _TARGETS]) for kind in _KINDS}
_TARGETS_OF[ast.Starred] = _READERS[ast.Starred]
# Of all lists these two may have gaps.
_READERS[ast.Dict] = lambda node: ([key for key in node.keys if key is not None], node.values)
_READERS[ast.arguments] = lambda node: (
    *(node.posonlyargs, node.args, node.vararg, node.kwonlyargs),
    *([default for default in node.kw_defaults if default is not None], node.kwarg, node.defaults),
)
_BLOCKS_OF: dict[type[ast.AST], tuple[str, ...]] = {
    kind: tuple(name for name in _BLOCKS if name in kind._fields)
    for kind in _KINDS
    if issubclass(kind, (ast.Module, ast.stmt, ast.excepthandler, ast.match_case))
}


def walk(root: ast.AST) -> list[ast.AST]:
    """List the node and all below it, breadth first."""
    queue, readers = [root], _READERS
    for node in queue:
        reader = readers[type(node)]
        if reader is not None:
            parts = reader(node)
            # As in `_read`, which is not called for each node: this is where reading a source spends its time.
            for part in parts if type(parts) is tuple else (parts,):
                if type(part) is list:
                    queue += part
                elif part is not None:
                    queue.append(part)
    return queue


@lru_cache(maxsize=128)
def nodes(root: ast.AST) -> Sequence[ast.AST]:
    """Return what `walk` does, cached: a function is walked several times. Do not change the tree afterwards."""
    return walk(root)


def children(node: ast.AST) -> list[ast.AST]:
    """List the child nodes, in order of reading."""
    return _read(_READERS[type(node)], node)


def targets(node: ast.AST) -> list[ast.AST]:
    """List the child nodes that may assign where no expression does: targets, patterns and statements."""
    return _read(_TARGETS_OF[type(node)], node)


def statements(root: ast.AST) -> list[ast.AST]:
    """List the node and every statement, handler and case below it, breadth first."""
    queue = [root]
    for node in queue:
        for name in _BLOCKS_OF.get(type(node), ()):
            queue += getattr(node, name)
    return queue


def _read(reader: _Reader | None, node: ast.AST) -> list[ast.AST]:
    if reader is None:
        return []
    parts = reader(node)
    found: list[ast.AST] = []
    for part in parts if type(parts) is tuple else (parts,):
        if type(part) is list:
            found += part
        elif part is not None:
            found.append(part)
    return found
