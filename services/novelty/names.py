"""Reading names and attributes; making and writing steps."""

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from services.novelty.call_signatures import ATTRIBUTES, LAYERS, MEMBERS, canonical
from services.novelty.constants import Sizes, is_table, spelling, table
from services.novelty.frames import Frame
from services.novelty.instructions import Node, Stream
from services.novelty.program import ALWAYS, Program

SELF = "%self"
_BOUND = frozenset({"%s", "%U", "%F", "%A", "%E"})
"""How tokens begin whose meaning may change: the instance, names without a value, what the module defines."""

Value = str | int | Node
Reading = Callable[[Any, Any], Value]
"""A method that reads one kind of expression, given the reader and the expression."""


class Names:
    """Reads names and attributes, and holds what every reader of expressions needs.

    What an expression computes is a token, an integer or a step.
    """

    def __init__(self, program: Program, sizes: Sizes) -> None:
        self.program, self.facts = program, program.facts
        self._spelt = spelling(sizes)
        self.stream = Stream(self._spelt)
        self.frame = Frame(module=True)
        self.named: set[str] = set()
        self.owner = ""
        self._labels: dict[str, str] = {}
        self.class_constants: dict[tuple[str, str], ast.expr] = {}
        self._own = self.facts.stores.keys() | self.facts.methods.keys() | self._class_attributes()

    def _class_attributes(self) -> set[str]:
        classes = (unit.node for unit in self.program.units.values() if isinstance(unit.node, ast.ClassDef))
        assigned = (
            member for node in classes for member in node.body if isinstance(member, ast.Assign | ast.AnnAssign)
        )
        targets = (t for m in assigned for t in (m.targets if isinstance(m, ast.Assign) else [m.target]))
        return {target.id for target in targets if isinstance(target, ast.Name)}

    # Steps

    def value(self, node: ast.AST) -> Value:
        """Read an expression; return what it computes."""
        reading = self.READINGS.get(type(node))
        return self._any(node) if reading is None else reading(self, node)

    def step(self, *parts: Value) -> Node:
        """Make a step that is written when it is needed, at the latest before the next that changes something."""
        stream = self.stream
        node = Node(parts, stream)
        stream.add(node)
        return node

    def stable(self, *parts: Value) -> Node:
        """Make a step whose result depends on its operands alone, not on when it runs."""
        node = self._node(parts)
        self.stream.add(node)
        return node

    def pure(self, *parts: Value) -> Node:
        """Make a step like `stable` that is written only if it is needed."""
        node = self._node(parts)
        for part in parts:
            if type(part) is Node and part.is_cell:
                self.stream.add(node)
                break
        return node

    def _node(self, parts: Sequence[Value]) -> Node:
        node = Node(parts, self.stream)
        node.portable = self.frame.portable and self._is_portable(parts)
        return node

    def _is_portable(self, parts: Sequence[Value]) -> bool:
        if not self.frame.portable:
            return False
        for part in parts:
            if type(part) is str:
                if part[:2] in _BOUND:
                    return False
            elif type(part) is not int and not part.portable:  # type: ignore[union-attr]
                return False
        return True

    def fixed(self, *parts: Value) -> Node:
        """Make a step whose result only in-place operations can change."""
        return self.step(*parts) if self.facts.ordered else self.pure(*parts)

    def held(self, value: Value) -> Value:
        """Read a cell's present content; any other value is returned as it is."""
        return self.step("get", value) if type(value) is Node and value.is_cell else value

    def put(self, value: Value) -> Value:
        """Write the value's step if it is not written yet; return the value."""
        if type(value) is Node and value.at < 0 and value.home is self.stream:
            self.stream.write(value)
        return value

    def _any(self, node: ast.AST) -> Value:
        """Make a step of an expression as it is written."""
        parts: list[Value] = [type(node).__name__, "("]
        for name, field in ast.iter_fields(node):
            if name in ("ctx", "type_comment", "type_params"):
                continue
            if isinstance(field, list):
                parts += ["[", *(self._part(part) for part in field), "]"]
            else:
                parts.append(self._part(field))
        return self.step(*parts, ")")

    def _part(self, field: object) -> Value:
        if isinstance(field, ast.expr | ast.comprehension | ast.keyword):
            return self.value(field)
        return type(field).__name__ if isinstance(field, ast.AST) else repr(field)

    def display(self, opening: str, elements: list[Value], closing: str) -> Node:
        """Make a step of elements in brackets."""
        elements = [self.held(element) for element in elements]
        node = self.pure(*self._displayed(opening, elements, closing))
        node.layer = ("display", elements)
        return node

    def one_after_the_other(self, elements: list[Value]) -> Node:
        """Make a step of layers in a `Sequential`."""
        node = self.pure(*_in_sequence(elements))
        node.layer = ("Sequential", elements)
        return node

    def _displayed(self, opening: str, elements: list[Value], closing: str) -> Sequence[Value]:
        if not is_table(elements):
            return opening, *elements, closing
        return opening, *table([self._spelt(e) if isinstance(e, int) else str(e) for e in elements]), closing

    def close(self, node: Node) -> None:
        """Fix the elements of a list that was read: it can no longer grow unnoticed."""
        assert node.items is not None
        elements, node.items = node.items, None
        self.refill(node, elements)

    def refill(self, node: Node, elements: list[Value]) -> None:
        """Replace the elements of a list or `Sequential` that is not written yet."""
        kind = "Sequential" if node.parts[0] == "Sequential" else "display"
        node.parts = _in_sequence(elements) if kind == "Sequential" else self._displayed("[", elements, "]")
        node.layer = (kind, elements)
        node.portable = self._is_portable(node.parts)

    # Names

    def _name(self, node: ast.Name) -> Value:
        found = self.frame.find(node.id)
        if found is None:
            return self._elsewhere(node.id)
        if type(found) is Node and found.items is not None:
            self.close(found)
        is_layer = type(found) is Node and found.layer is not None and found.layer[0] in LAYERS
        if is_layer and self.frame.function.outer is not None:
            return self.pure("closed", found)
        return found

    def _elsewhere(self, name: str) -> Value:
        """Resolve a name that is no known variable: one without a value yet, of the file, or from elsewhere."""
        if name in self.frame.declared:
            return self.frame.unbound.setdefault(name, f"%U{len(self.frame.unbound)}")
        unit = self.program.units.get(name)
        if unit is not None:
            return unit.token
        if name in self.program.constants:
            return self.of_module(self.program.constants[name])
        return canonical(self.program.imports.get(name, name))

    def of_module(self, node: ast.expr) -> Value:
        """Read an expression that stands outside of all functions."""
        frame = self.frame
        self.frame = Frame(module=True, portable=frame.portable)
        try:
            return self.value(node)
        finally:
            self.frame = frame

    def imported(self, node: ast.Attribute) -> str | None:
        """Return the canonical name of what is imported, like `Conv2d` for `nn.Conv2d`; None for anything else."""
        names = [node.attr]
        inner = node.value
        while type(inner) is ast.Attribute:
            names.append(inner.attr)
            inner = inner.value
        if type(inner) is not ast.Name:
            return None
        name, frame, program = inner.id, self.frame, self.program
        if name in frame.values or name in frame.declared or name in program.units or name in program.constants:
            return None
        if frame.find(name) is not None:
            return None
        names.append(program.imports.get(name, name))
        return canonical(".".join(names[::-1]))

    def _attribute(self, node: ast.Attribute) -> Value:
        imported = self.imported(node)
        if imported is not None:
            return imported
        base = self.value(node.value)
        if base == SELF:
            return self._own_attribute(node.attr)
        if type(base) is str and (base, node.attr) in self.class_constants:
            return self.of_module(self.class_constants[base, node.attr])
        if node.attr == "shape":
            return self.shape(base)
        return self.step(base, self.label(node.attr))

    def shape(self, base: Value) -> Node:
        """Make a step of a tensor's sizes, which only in-place operations change."""
        return self.fixed("shape", "(", base, ")")

    def _own_attribute(self, name: str) -> Value:
        if name in self.frame.fields:
            return self.frame.fields[name]
        if (self.owner, name) in self.class_constants:
            return self.of_module(self.class_constants[self.owner, name])
        if name not in self._own or name in MEMBERS:
            return f"{SELF}.{name}"
        return self.step("get", SELF, self.label(name))

    def label(self, name: str) -> str:
        """Return an attribute's canonical name: its own if it comes from elsewhere or may be reached by a text."""
        if name not in self._own or name in MEMBERS or name in ALWAYS or name[:2] == "__":
            return f".{name}"
        if self.facts.is_spelt_out(name) or (name in ATTRIBUTES and name in self.facts.foreign):
            return f".{name}"
        return self._labels.setdefault(name, f"@{len(self._labels)}")

    def bind(self, target: ast.expr, value: Value) -> None:
        """Give a target of an assignment its value."""
        raise NotImplementedError

    READINGS: ClassVar[Mapping[type[ast.AST], Reading]] = {ast.Name: _name, ast.Attribute: _attribute}
    """The method for each kind of expression; any other kind is written as it stands."""


def _in_sequence(elements: Sequence[Value]) -> Sequence[Value]:
    return "Sequential", "(", *elements, ")"
