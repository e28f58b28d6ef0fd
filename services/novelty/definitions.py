"""Reading functions, classes and their members."""

import ast
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from services.novelty.assignments import Execution
from services.novelty.frames import Frame, assigned_within, captured, declared
from services.novelty.module_level import is_harmless
from services.novelty.names import SELF, Value
from services.novelty.program import RECIPE, Function, defined_names, parameters, self_name
from services.novelty.statements import Statements
from services.novelty.trees import statements

_PLAIN_BASES = frozenset({"Module", "object"})


class Definitions(Statements):
    """Reads functions and classes, on top of statements."""

    def function(self, node: Function, *, prefix: str = "%P", fields: dict[str, Value] | None = None) -> None:
        """Read a function's parameters and body into the current frame."""
        walrus = self.facts.walrus
        self.frame.body = node.body
        self.frame.lasting = captured(node.body, parameters(node)) if self.facts.nested else frozenset()
        if walrus:
            self.frame.lasting |= assigned_within(node.body)
        self.frame.declared = declared(node.body, walrus=walrus) - self.facts.shared
        self.parameters_of(node, prefix)
        is_static = any(getattr(d, "id", "") == "staticmethod" for d in node.decorator_list)
        if fields is not None and not is_static:
            self.frame.values[self_name(node)] = SELF
        for name in parameters(node):
            if name in self.frame.lasting:
                self._cell(name)
        self.block(node.body)
        self.stream.flush()

    def _decorators(self, node: Function | ast.ClassDef) -> Sequence[Value]:
        return [part for d in node.decorator_list if not is_harmless(d) for part in ("@", self.value(d))]

    def _do_functiondef(self, node: Function) -> None:
        """Read a function within another, or one of several of the same name."""
        decorators = self._decorators(node)
        with self.region("def", *decorators, *self.signature(node), is_function=True) as made:
            self.function(node)
        self._bind_name(node.name, made[0])

    def _do_classdef(self, node: ast.ClassDef) -> None:
        """Read a class within a function, or one of several of the same name: all of it, attributes by name."""
        bases = [self.value(base) for base in (*node.bases, *node.keywords)]
        plain, inlined = self.plain_base, self.inline_fields
        self.plain_base, self.inline_fields = is_plain(node), False
        with self.region("class", *self._decorators(node), "(", *bases, ")", is_function=True) as made:
            self.members([m for m in node.body if not RECIPE & set(defined_names(m)) - self.facts.attributes.keys()])
        self.plain_base, self.inline_fields = plain, inlined
        self._bind_name(node.name, made[0])

    def members(self, body: Iterable[ast.stmt]) -> None:
        """Read the members of a class."""
        for member in body:
            self.member(member)

    def member(self, member: ast.stmt) -> None:
        """Read one member of a class: a method, a class attribute, or another statement."""
        match member:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._method_definition(member)
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                computed = self.value(value)
                self.effect("set", self.label(name), computed)
                self.frame.values[name] = computed
            case ast.AnnAssign(target=ast.Name(id=name)):
                self.mark("field", self.label(name))
            case _:
                self.block([member])

    def _method_definition(self, member: Function) -> None:
        outer = self.frame
        is_first = member.name == "__init__"
        is_building = is_first and self.inline_fields and not any(type(s) is ast.Return for s in statements(member))
        decorators = [self.put(part) for part in self._decorators(member)]
        self.mark("def", self.label(member.name), *decorators, *self.signature(member))
        self.frame = Frame(
            outer=outer.outer, fields=outer.fields, building=is_building, portable=is_building, fresh=not is_first
        )
        self.function(member, prefix="%I" if is_building else "%P", fields=outer.fields)
        self.frame = outer
        self.frame.values[member.name] = self.label(member.name)
        self.mark("end")

    EXECUTIONS: ClassVar[Mapping[type[ast.stmt], Execution]] = {
        **Statements.EXECUTIONS,
        ast.FunctionDef: _do_functiondef,
        ast.AsyncFunctionDef: _do_functiondef,
        ast.ClassDef: _do_classdef,
    }


def is_plain(node: ast.ClassDef) -> bool:
    """Say whether a class has no base but torch's `Module`."""
    names = {getattr(base, "attr", getattr(base, "id", "")) for base in node.bases}
    return names <= _PLAIN_BASES and not node.keywords
