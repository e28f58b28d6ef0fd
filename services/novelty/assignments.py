"""Reading assignments: to variables, cells, attributes, elements, and to lists that grow."""

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from services.novelty.calls import Calls
from services.novelty.instructions import Node
from services.novelty.names import SELF, Value

_CAN_GROW = ("display", "Sequential")
Execution = Callable[[Any, Any], None]
"""A method that carries out one kind of statement, given the reader and the statement."""


class Bound(ast.stmt):
    """Stands at the head of a loop's body: gives the loop's variable its value in each turn."""

    def __init__(self, target: ast.expr, item: Value) -> None:
        super().__init__()
        self.target, self.item = target, item


class Assignments(Calls):
    """Reads assignments, on top of calls and expressions."""

    inline_fields = True
    """Whether attributes of the instance may be written where they are used."""

    def mark(self, *parts: Value) -> None:
        """Write tokens right here, after the steps that they name."""
        self.stream.mark(*[self.put(part) for part in parts])

    def effect(self, *parts: Value) -> Node:
        """Write a step that changes something, after all steps so far."""
        self.stream.flush()
        node = self.pure(*parts)
        node.portable = False
        self.put(node)
        return node

    def bind(self, target: ast.expr, value: Value) -> None:
        """Give a target its value."""
        value = self.held(value)
        if type(target) is ast.Name:
            self._bind_name(target.id, value)
        elif type(target) is ast.Attribute:
            self._bind_attribute(self.value(target.value), target.attr, value)
        elif type(target) is ast.Subscript:
            self.effect("set", self.value(target.value), "[", self.value(target.slice), "]", value)
        elif isinstance(target, ast.Tuple | ast.List):
            self._bind_several(target.elts, value)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, value)

    def _bind_name(self, name: str, value: Value) -> None:
        frame = self.frame
        if frame.module or name in self.facts.shared:
            self.effect("let", self._elsewhere(name), value)
            return
        depth = frame.cells.get(name)
        if depth is None and name not in frame.lasting:
            frame.values[name] = value
        elif depth == frame.depth and name not in frame.lasting:
            del frame.cells[name]
            frame.values[name] = value
        else:
            self._cell(name)
            self.effect("set", frame.values[name], value)

    def _cell(self, name: str) -> None:
        """Make the variable a cell: a place whose content may change from now on."""
        frame = self.frame
        if name not in frame.cells:
            value = frame.values.get(name, frame.unbound.get(name))
            cell = frame.values[name] = self.effect("cell") if value is None else self.effect("cell", value)
            cell.is_cell = True
            frame.cells[name] = frame.depth

    def _bind_attribute(self, owner: Value, name: str, value: Value) -> None:
        frame = self.frame
        can_be_inlined = frame.building and owner == SELF and self.inline_fields and self.facts.is_plain(name)
        if can_be_inlined and (type(value) is not Node or value.portable):
            frame.fields[name] = value
        else:
            self.effect("set", owner, self.label(name), value)

    def _bind_several(self, targets: Sequence[ast.expr], value: Value) -> None:
        starred = any(isinstance(target, ast.Starred) for target in targets)
        made = value.layer if type(value) is Node else None
        if made is not None and made[0] == "display" and len(made[1]) == len(targets) and not starred:
            parts = made[1]
        else:
            parts = self._items(targets, value)
        for target, part in zip(targets, parts, strict=True):
            self.bind(target, part)

    def _items(self, targets: Sequence[ast.expr], value: Value) -> list[Value]:
        """Take apart a value whose elements are not spelt out."""
        stars = [place for place, target in enumerate(targets) if isinstance(target, ast.Starred)]
        if type(value) is Node and value.parts[0] == "shape" and not stars:
            return [self.fixed(value, "[", place, "]") for place in range(len(targets))]
        count = f"{len(targets)}*{stars[0]}" if stars else str(len(targets))
        return [self.fixed("item", count, str(place), value) for place in range(len(targets))]

    def _do_assign(self, node: ast.Assign) -> None:
        if type(node.value) is ast.Tuple:
            match node:
                case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)) if _match(
                    targets, values
                ):
                    for target, value in zip(targets, [*map(self._assigned, values, targets)], strict=True):
                        self.bind(target, value)
                    return
        value = self._assigned(node.value, *node.targets)
        for target in node.targets:
            self.bind(target, value)

    def _assigned(self, node: ast.expr, *targets: ast.expr) -> Value:
        """Read an assigned value; a new list or `Sequential` in a variable may still grow."""
        value = self.value(node)
        is_new = type(node) is ast.List or (type(node) is ast.Call and not node.args and not node.keywords)
        if not is_new or type(value) is not Node or value.layer is None or value.layer[0] not in _CAN_GROW:
            return value
        if all(type(target) is ast.Name for target in targets):
            value.items, value.layer = list(value.layer[1]), None
        return value

    def _do_annassign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.bind(node.target, self._assigned(node.value, node.target))

    def _do_augassign(self, node: ast.AugAssign) -> None:
        if isinstance(node.op, ast.Add) and isinstance(node.target, ast.Name) and self._grow(node.target, node.value):
            return
        operation = f"{type(node.op).__name__}="
        if isinstance(node.target, ast.Name):
            computed = self.value(ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value))
            if type(computed) is Node:
                computed.parts = (operation, *computed.parts[1:])
            self.bind(node.target, computed)
        elif isinstance(node.target, ast.Attribute):
            owner, value = self.value(node.target.value), self.value(node.value)
            self.effect(operation, owner, self.label(node.target.attr), value)
        else:
            owner, index = self.value(node.target.value), self.value(node.target.slice)
            self.effect(operation, owner, "[", index, "]", self.value(node.value))
        self.stream.flush()

    def _lengthen(self, owner: ast.Attribute, added: ast.expr) -> bool:
        """Append to a `Sequential` that is an attribute and was not read yet; return whether that was possible."""
        if not self.frame.building or self.value(owner.value) != SELF or self.facts.dynamic:
            return False
        made = self.frame.fields.get(owner.attr)
        if type(made) is not Node or made.at >= 0 or made.layer is None or made.layer[0] != "Sequential":
            return False
        self.refill(made, [*made.layer[1], self.value(added)])
        return made.portable

    def _grow(self, target: ast.Name, added: ast.expr, *, one: bool = False) -> bool:
        """Append to a list that nothing has read yet; return whether that was possible."""
        known = self.frame.values.get(target.id)
        if type(known) is not Node or known.items is None:
            return False
        if one:
            known.items.append(self.held(self.value(added)))
        elif isinstance(added, ast.List | ast.Tuple) and not any(isinstance(e, ast.Starred) for e in added.elts):
            known.items += [self.held(self.value(element)) for element in added.elts]
        else:
            return False
        return known.items is not None

    def _do_bound(self, node: Bound) -> None:
        self.bind(node.target, node.item)

    EXECUTIONS: ClassVar[Mapping[type[ast.stmt], Execution]] = {
        ast.Assign: _do_assign,
        ast.AnnAssign: _do_annassign,
        ast.AugAssign: _do_augassign,
        Bound: _do_bound,
    }
    """The method for each kind of statement; any other kind is written as it stands."""


def _match(targets: Sequence[ast.expr], values: Sequence[ast.expr]) -> bool:
    return len(targets) == len(values) and not any(isinstance(part, ast.Starred) for part in (*targets, *values))
