"""Walks over syntax trees, in the order of `ast.walk` and several times as fast: reading a source is mostly walking.

Contexts, operators and annotations are left out: nobody asks for them, and they are a third of all nodes.
"""

import ast
from collections.abc import Iterator
from functools import lru_cache

_BARE = frozenset(
    {
        "ctx",
        "op",
        "ops",
        "id",
        "attr",
        "arg",
        "asname",
        "module",
        "level",
        "kind",
        "type_comment",
        "annotation",
        "returns",
    }
)
_FIELDS = {
    kind: () if kind is ast.Constant else tuple(name for name in kind._fields if name not in _BARE)
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def walk(root: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it, breadth first."""
    queue = [root]
    for node in queue:
        yield node
        if _FIELDS[type(node)]:
            queue += children(node)


@lru_cache(maxsize=128)
def nodes(root: ast.AST) -> tuple[ast.AST, ...]:
    """What `walk` yields, kept for a while: a function is looked through by many. Not before it is changed for good."""
    return tuple(walk(root))


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes right below, in order of reading."""
    found: list[object] = []
    for name in _FIELDS[type(node)]:
        value = getattr(node, name, None)
        if type(value) is list:
            found += value
        else:
            found.append(value)
    return [part for part in found if isinstance(part, ast.AST)]


def statements(root: ast.AST) -> Iterator[ast.AST]:
    """The node and every statement, handler and case below it, breadth first."""
    queue = [root]
    for node in queue:
        yield node
        for name in _BLOCKS:
            block = getattr(node, name, None)
            if type(block) is list:
                queue += block
