"""The variables of one function while it is read."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from services.novelty.instructions import Node
from services.novelty.program import FUNCTIONS
from services.novelty.trees import children, nodes, targets, walk

_SCOPES = frozenset({*FUNCTIONS, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.ClassDef})
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_INNER = frozenset({*FUNCTIONS, ast.Lambda})
_NAMED = frozenset({*FUNCTIONS, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.MatchMapping})
_COMPOUND = frozenset({ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.Match, ast.ExceptHandler, ast.match_case})
_ASSIGNING = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.NamedExpr)
Place = tuple[int, ...]


@dataclass
class Frame:
    """The variables of one function, comprehension or the like, and of the instance that it belongs to.

    `values` are what names stand for. `cells` are variables that a branch or a loop may change, with the depth at which
    they became so. `fields` are the attributes of the instance that have one value for good; `building` says that they
    may be given one now, `portable` that what is computed here may be written there, `fresh` that layers made here are
    no attributes. `within` is the frame of the function that a comprehension stands in.
    """

    values: dict[str, "str | int | Node"] = field(default_factory=dict)
    outer: "Frame | None" = None
    body: Iterable[ast.stmt] = ()
    fields: dict[str, "str | int | Node"] = field(default_factory=dict)
    building: bool = False
    portable: bool = False
    fresh: bool = False
    module: bool = False
    depth: int = 0
    cells: dict[str, int] = field(default_factory=dict)
    declared: set[str] = field(default_factory=set)
    lasting: frozenset[str] = frozenset()
    unbound: dict[str, str] = field(default_factory=dict)
    within: "Frame | None" = None
    _places: "dict[str, list[tuple[Place, bool]]] | None" = None

    @property
    def function(self) -> "Frame":
        """Return the frame that an assignment within an expression is made in."""
        return self.within or self

    def find(self, name: str) -> "str | int | Node | None":
        """Return what a variable of this function, or of one around it, stands for; None if it is not known."""
        frame: Frame | None = self
        while frame is not None:
            if name in frame.values:
                return frame.values[name]
            if name in frame.unbound:
                return frame.unbound[name]
            frame = frame.outer
        return None

    def changed_in(self, statement: ast.stmt, *, walrus: bool) -> list[str]:
        """Return the variables that a compound statement may change for later statements or its next iteration."""
        names = dict.fromkeys(stored_names(statement, walrus=walrus))
        return [name for name in names if name not in self.cells and not self._is_temporary(name)]

    def _is_temporary(self, name: str) -> bool:
        """Say whether a variable is used only in the block of its first assignment, and assigned only right there."""
        if name in self.values:
            # It was assigned before the block.
            return False
        if self._places is None:
            self._places = _places(self.body)
        found = self._places.get(name, [])
        if not found or not found[0][1] or not found[0][0]:
            return False
        home = found[0][0]
        return all(place == home if is_store else place[: len(home)] == home for place, is_store in found)


def stored_names(statement: ast.AST, *, walrus: bool = True) -> Iterator[str]:
    """Yield the names assigned to anywhere within, but not in inner scopes; `walrus`: expressions may assign too."""
    below = children if walrus else targets
    stack = [statement]
    while stack:
        node = stack.pop()
        kind = type(node)
        if kind is ast.Name:
            if type(node.ctx) is not ast.Load:  # type: ignore[attr-defined]
                yield node.id  # type: ignore[attr-defined]
            continue
        if kind in _NAMED and (name := getattr(node, "name", None) or getattr(node, "rest", None)):
            yield name
        if kind not in _SCOPES:
            stack += below(node)[::-1]


def declared(body: Iterable[ast.stmt], *, walrus: bool) -> set[str]:
    """Return the names that statements assign to."""
    found = set[str]()
    for statement in body:
        if type(statement) is ast.Assign and not walrus:
            for target in statement.targets:
                if type(target) is ast.Name:
                    found.add(target.id)
                elif type(target) is not ast.Attribute:
                    found.update(stored_names(target, walrus=False))
        else:
            found.update(stored_names(statement, walrus=walrus))
    return found


def captured(body: Iterable[ast.stmt], given: Iterable[str] = ()) -> frozenset[str]:
    """Find variables that an inner function reads and that are assigned more than once: it sees the last value."""
    inner = [n for statement in body for n in nodes(statement) if type(n) in _INNER]
    if not inner:
        return frozenset()
    read = {node.id for function in inner for node in walk(function) if isinstance(node, ast.Name)}
    stored = [*given, *(name for statement in body for name in stored_names(statement))]
    return frozenset(name for name in read if stored.count(name) > 1)


def assigned_within(body: Iterable[ast.stmt]) -> frozenset[str]:
    """Find variables that expressions assign to, perhaps not always."""
    found = (n.target.id for s in body for n in nodes(s) if isinstance(n, ast.NamedExpr))
    return frozenset(found)


def _places(body: Iterable[ast.stmt]) -> dict[str, list[tuple[Place, bool]]]:
    """List the occurrences of each name in order of the text: the blocks around it, and whether it is assigned to."""
    found: dict[str, list[tuple[Place, bool]]] = {}
    count = 0
    stack: list[tuple[ast.AST, Place]] = [(statement, ()) for statement in reversed(list(body))]
    while stack:
        node, place = stack.pop()
        if type(node) in _COMPOUND:
            parts: list[tuple[ast.AST, Place]] = []
            for name, value in ast.iter_fields(node):
                if name in ("body", "orelse", "finalbody", "target"):
                    count += name != "target"
                    inner = (*place, count + (name == "target"))
                else:
                    inner = place
                parts += [(part, inner) for part in (value if isinstance(value, list) else [value])]
            stack += [(part, where) for part, where in reversed(parts) if isinstance(part, ast.AST)]
        elif isinstance(node, _ASSIGNING):
            assigned = node.targets if isinstance(node, ast.Assign) else [node.target]
            stack += [(target, place) for target in reversed(assigned)]
            if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                found.setdefault(node.target.id, []).append((place, False))
            if node.value is not None:
                stack.append((node.value, place))
        elif isinstance(node, ast.expr):
            for read in _in_reading_order(node):
                found.setdefault(read.id, []).append((place, type(read.ctx) is not ast.Load))
        else:
            stack += [(child, place) for child in reversed(children(node))]
    return found


def _in_reading_order(expression: ast.expr) -> Iterator[ast.Name]:
    stack: list[ast.AST] = [expression]
    while stack:
        node = stack.pop()
        if type(node) is ast.Name:
            yield node
        elif type(node) is ast.NamedExpr:
            stack += (node.target, node.value)
        elif type(node) is not ast.Constant:
            stack += children(node)[::-1]
