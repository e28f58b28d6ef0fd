"""What names stand for, without saying how they are spelt."""

import ast
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from services.novelty.program import (
    ALWAYS,
    FUNCTIONS,
    Function,
    Program,
    Unit,
    defined_names,
    is_stored,
    parameters,
    self_name,
)
from services.novelty.trees import nodes

_FAR = 16


class Scope:
    """The variables of one function.

    A parameter is called by its position. A local is called by how many other variables were assigned since
    it was: unlike a running number this stays the same when a line is added elsewhere, and it tells
    `x + skip` from `x + x`, yet takes no notice of whether a chain reuses one name or invents new ones.
    """

    def __init__(self, declared: Iterable[str] = (), positions: Iterable[str] = (), instance: str = "") -> None:
        self.instance = instance
        self._declared = frozenset(declared)
        self._positions = {name: position for position, name in enumerate(positions)}
        self._recent: dict[str, None] = {}

    @classmethod
    def of(cls, node: ast.AST, *, method: bool) -> "Scope":
        """The scope of a function, or of a module-level statement."""
        if not isinstance(node, FUNCTIONS):
            return cls()
        return cls(_variables(node), parameters(node), self_name(node) if method else "")

    def bind(self, name: str) -> None:
        """An assignment."""
        self._positions.pop(name, None)
        self._recent.pop(name, None)
        self._recent[name] = None

    def token(self, name: str) -> str | None:
        """The canonical name of a variable, None where the name is not of this scope."""
        if name in self._recent:
            recent = islice(reversed(self._recent), _FAR)
            return next((f"V{age}" for age, other in enumerate(recent) if other == name), "V+")
        if name in self._positions:
            return f"P{self._positions[name]}"
        return "V?" if name in self._declared else None


class _Slot(NamedTuple):
    position: int
    kind: str


class Instance:
    """The attributes of `self` in one class: each stands for what was assigned to it.

    Use is written relative to the attribute used before, so `+1` is "the next one in order of definition".
    """

    def __init__(self, slots: dict[str, str] | None = None) -> None:
        self._slots = {name: _Slot(position, kind) for position, (name, kind) in enumerate((slots or {}).items())}
        self._last = -1

    @classmethod
    def of(cls, unit: Unit, program: Program) -> "Instance":
        """Read from every assignment to an attribute of the instance; methods come last."""
        slots: dict[str, str] = {}
        for target, callee in instance_assignments(unit):
            slots.setdefault(target, _kind(callee, program))
        for function in unit.functions:
            slots.setdefault(function.name, "method")
        return cls(slots)

    def start(self) -> None:
        """A new function begins."""
        self._last = -1

    def token(self, name: str) -> str | None:
        """The canonical name of an attribute, None where the class does not define it."""
        slot = self._slots.get(name)
        if slot is None:
            return None
        step, self._last = slot.position - self._last, slot.position
        return f"SELF.{slot.kind}{step:+d}"


def attribute_names(program: Program) -> frozenset[str]:
    """Every attribute and member name that the program itself gives."""
    units = program.units.values()
    assigned = {name for unit in units for name, _ in instance_assignments(unit)}
    members = {name for unit in units for member in unit.members for name in defined_names(member)}
    return frozenset(assigned | members) - set(ALWAYS)


def instance_assignments(unit: Unit) -> list[tuple[str, str]]:
    """Every `self.name = Callee(…)` of a class in source order; an empty callee for any other value."""
    if not isinstance(unit.node, ast.ClassDef):
        return []
    return [pair for function in unit.functions for pair in _assignments(function)]


def _assignments(function: Function) -> list[tuple[str, str]]:
    instance = self_name(function)
    values: dict[int, ast.expr] = {}
    stored: list[ast.Attribute] = []
    for node in nodes(function):
        match node:
            case ast.Assign(targets=targets, value=value):
                values |= {id(target): value for target in targets}
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                values[id(target)] = value
            case ast.Attribute(value=ast.Name(id=name), ctx=ast.Store()) if name == instance:
                stored.append(node)
    stored.sort(key=lambda node: (node.lineno, node.col_offset))
    variables = _variables(function)
    return [(node.attr, _callee(values.get(id(node)), variables)) for node in stored]


def _callee(value: ast.expr | None, variables: frozenset[str]) -> str:
    callee = value.func if isinstance(value, ast.Call) else None
    root: ast.expr | None = callee
    while isinstance(root, ast.Attribute):
        root = root.value
    if not isinstance(root, ast.Name) or root.id in variables:
        return ""
    return callee.attr if isinstance(callee, ast.Attribute) else root.id


def _variables(function: ast.AST) -> frozenset[str]:
    stored = {node.id for node in nodes(function) if is_stored(node)}
    return frozenset(stored.union(parameters(function) if isinstance(function, FUNCTIONS) else ()))


def _kind(callee: str, program: Program) -> str:
    unit = program.units.get(callee)
    return unit.token if unit else program.imports.get(callee, callee) or "value"
