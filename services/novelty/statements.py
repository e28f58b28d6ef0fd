"""What statements do, step by step."""

import ast
from collections.abc import Sequence

from services.novelty.calls import Calls
from services.novelty.expressions import SELF, Value
from services.novelty.facts import NAMING
from services.novelty.frames import Frame, captured, stored_names
from services.novelty.instructions import Node
from services.novelty.program import FUNCTIONS, Function, parameters, self_name
from services.novelty.reach import is_harmless

_GROWING = frozenset({"append", "extend"})
_UNTRUE = ("False", "None", 0)
_KNOWN = (*_UNTRUE, "True")
_PLAIN_BASES = frozenset({"Module", "object"})


class Statements(Calls):
    """Each kind of statement has a method that carries it out."""

    plain_base = True
    """Whether the class that is read has no base but torch's `Module`, whose `__init__` every class calls."""

    inline_fields = True
    """Whether attributes of its instances may be written where they are used."""

    def block(self, body: Sequence[ast.stmt]) -> None:
        """Statements one after the other."""
        for statement in body:
            if not self._is_noise(statement):
                getattr(self, f"_do_{type(statement).__name__.lower()}", self._do_any)(statement)
                if self.facts.ordered:
                    self.stream.flush()

    def returned(self, body: Sequence[ast.stmt]) -> Value:
        """Read statements without branches; what the last one returns."""
        last = body[-1] if isinstance(body[-1], ast.Return) else None
        self.block(body[:-1] if last else body)
        return self.value(last.value) if last and last.value else "None"

    def mark(self, *parts: Value) -> None:
        """Write tokens right here, after the steps that they name."""
        self.stream.mark(*[self.put(part) for part in parts])

    def effect(self, *parts: Value) -> Node:
        """A step that changes something, after all steps so far."""
        self.stream.flush()
        node = self.pure(*parts)
        node.portable = False
        self.put(node)
        return node

    def _is_noise(self, statement: ast.stmt) -> bool:
        """What does nothing, or only refuses: documentation, prints, and checks that nobody catches."""
        match statement:
            case ast.Pass() | ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                return True
            case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=arguments)):
                return not any(_names_a_value(argument) for argument in arguments)
            case ast.Assert(test=test):
                return not self.facts.guarded and not _names_a_value(test)
            case ast.Raise():
                return not self.facts.guarded
            case ast.If(test=test, body=body, orelse=orelse):
                return not _names_a_value(test) and all(self._is_noise(s) for s in (*body, *orelse))
        return False

    # Assignments

    def bind(self, target: ast.expr, value: Value) -> None:
        match target:
            case ast.Name(id=name):
                self._bind_name(name, value)
            case ast.Attribute(value=owner, attr=name):
                self._bind_attribute(self.value(owner), name, value)
            case ast.Subscript():
                self.effect("set", self.value(target.value), "[", self.value(target.slice), "]", value)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                self._bind_several(targets, value)
            case ast.Starred():
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
        """From now on the variable is a place whose content changes."""
        frame = self.frame
        if name not in frame.cells:
            value = frame.values.get(name) or frame.unbound.get(name)
            frame.values[name] = self.effect("cell") if value is None else self.effect("cell", value)
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
            item = self.step if self.facts.ordered else self.pure
            count = f"{len(targets)}*" if starred else str(len(targets))
            parts = [item("item", count, str(place), value) for place in range(len(targets))]
        for target, part in zip(targets, parts, strict=True):
            self.bind(target, part)

    def _do_assign(self, node: ast.Assign) -> None:
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)) if _match(targets, values):
                for target, value in zip(targets, [self._assigned(value) for value in values], strict=True):
                    self.bind(target, value)
                return
        value = self._assigned(node.value)
        for target in node.targets:
            self.bind(target, value)

    def _assigned(self, node: ast.expr) -> Value:
        """A list may grow; the content of a place that changes is looked up now."""
        value = self.value(node)
        if type(node) is ast.List and type(value) is Node and value.layer is not None:
            value.items, value.layer = list(value.layer[1]), None
        elif type(node) is ast.Name and node.id in self.frame.cells:
            return self.step("get", value)
        return value

    def _do_annassign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.bind(node.target, self._assigned(node.value))

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

    def _grow(self, target: ast.Name, added: ast.expr, *, one: bool = False) -> bool:
        """Add to a list that nobody has read yet."""
        known = self.frame.values.get(target.id)
        if type(known) is not Node or known.items is None:
            return False
        if one:
            known.items.append(self.value(added))
        elif isinstance(added, ast.List | ast.Tuple) and not any(isinstance(e, ast.Starred) for e in added.elts):
            known.items += [self.value(element) for element in added.elts]
        else:
            return False
        return known.items is not None

    # Expressions

    def _do_expr(self, node: ast.Expr) -> None:
        match node.value:
            case ast.Call(func=ast.Attribute(attr="__init__")) if self.plain_base and _is_of_base(node.value):
                return
            case ast.Call(func=ast.Attribute(value=ast.Name() as target, attr=name), args=[added], keywords=[]) if (
                name in _GROWING and self._grow(target, added, one=name == "append")
            ):
                return
            case ast.Call(func=ast.Attribute(value=owner, attr=name), args=[ast.Constant(value=str(given)), added]) if (
                name in NAMING and self.value(owner) == SELF
            ):
                value = self.value(added)
                self._bind_attribute(SELF, given, value if "module" in name else self.step(name, value))
                return
        value = self.value(node.value)
        self.stream.flush()
        self.put(value)

    def _do_return(self, node: ast.Return) -> None:
        value = self.put(self.value(node.value)) if node.value else "None"
        self.stream.flush()
        self.mark("return", value)

    def _do_raise(self, node: ast.Raise) -> None:
        self.stream.flush()
        self.mark("raise")

    def _do_any(self, node: ast.stmt) -> None:
        self._cells(node)
        self.effect(self._any(node))

    def _do_global(self, node: ast.Global | ast.Nonlocal) -> None:
        self.mark("global", *(self._elsewhere(name) for name in node.names))

    _do_nonlocal = _do_global

    # Branches and loops

    def _cells(self, statement: ast.stmt) -> None:
        """Before a compound statement: what it may change becomes a place, lists that may grow in it are as they are."""
        if self.frame.module:
            return
        for value in list(self.frame.values.values()):
            if type(value) is Node and value.items is not None:
                self.close(value)
        self.stream.flush()
        for name in self.frame.changed_in(statement):
            self._cell(name)

    def _branch(self, *head: Value, body: Sequence[ast.stmt]) -> None:
        self.stream.flush()
        self.mark(*head, "{")
        frame, building = self.frame, self.frame.building
        frame.depth, frame.building = frame.depth + 1, False
        self.block(body)
        for value in list(frame.values.values()):
            if type(value) is Node and value.items is not None:
                self.close(value)
        self.stream.flush()
        frame.depth, frame.building = frame.depth - 1, building
        self.mark("}")

    def _do_if(self, node: ast.If) -> None:
        test = self.value(node.test)
        if test in _KNOWN or type(test) is int:
            self.block(node.body if test not in _UNTRUE else node.orelse)
            return
        self._cells(node)
        self._branch("if", test, body=node.body)
        if node.orelse:
            self._branch("else", body=node.orelse)

    def _do_while(self, node: ast.While) -> None:
        self._cells(node)
        self._branch("while", body=[ast.Expr(node.test), *node.body])
        if node.orelse:
            self._branch("else", body=node.orelse)

    def _do_for(self, node: ast.For | ast.AsyncFor) -> None:
        self._cells(node)
        iterated = self.put(self.value(node.iter))
        self.stream.flush()
        item = self.put(self.pure("each", iterated))
        self._branch("for", body=[_Bound(node.target, item), *node.body])
        if node.orelse:
            self._branch("else", body=node.orelse)

    _do_asyncfor = _do_for

    def _do__bound(self, node: "_Bound") -> None:
        self.bind(node.target, node.item)

    def _do_with(self, node: ast.With | ast.AsyncWith) -> None:
        """What is inside is done once, as if it stood beside it."""
        contexts = [(self.put(self.value(item.context_expr)), item.optional_vars) for item in node.items]
        self.stream.flush()
        self.mark("with", *(context for context, _ in contexts), "{")
        for context, target in contexts:
            if target is not None:
                self.bind(target, self.put(self.step("enter", context)))
        self.block(node.body)
        self.stream.flush()
        self.mark("}")

    _do_asyncwith = _do_with

    def _do_try(self, node: ast.Try) -> None:
        self._cells(node)
        self._branch("try", body=node.body)
        for handler in node.handlers:
            caught = self.value(handler.type) if handler.type else "_"
            self._branch("except", caught, body=handler.body)
        self._branch("else", body=node.orelse)
        self._branch("finally", body=node.finalbody)

    _do_trystar = _do_try

    def _do_match(self, node: ast.Match) -> None:
        self._cells(node)
        self.mark("match", self.value(node.subject))
        for case in node.cases:
            guard = [ast.Expr(case.guard)] if case.guard else []
            self._branch("case", ast.dump(case.pattern), body=[*guard, *case.body])

    # Functions and classes

    def function(self, node: Function, *, prefix: str = "%P", fields: dict[str, Value] | None = None) -> None:
        """A function's parameters and body, in a frame of its own."""
        self.frame.body, self.frame.lasting = node.body, captured(node.body)
        self.frame.declared |= {name for s in node.body for name in stored_names(s)} - self.facts.shared
        self.parameters_of(node, prefix)
        is_static = any(getattr(d, "id", "") == "staticmethod" for d in node.decorator_list)
        if fields is not None and not is_static:
            self.frame.values[self_name(node)] = SELF
        for name in self.frame.lasting & set(parameters(node)):
            self._cell(name)
        self.block(node.body)
        self.stream.flush()

    def _decorators(self, node: Function | ast.ClassDef) -> Sequence[Value]:
        return [part for d in node.decorator_list if not is_harmless(d) for part in ("@", self.value(d))]

    def _do_functiondef(self, node: Function) -> None:
        """A function within another, or one of several of its name."""
        decorators = self._decorators(node)
        with self.region("def", *decorators, *self.signature(node)) as made:
            self.function(node)
        self._bind_name(node.name, made[0])

    _do_asyncfunctiondef = _do_functiondef

    def _do_classdef(self, node: ast.ClassDef) -> None:
        """A class within a function, or one of several of its name: all of it, attributes by name."""
        bases = [self.value(base) for base in (*node.bases, *node.keywords)]
        plain, inlined = self.plain_base, self.inline_fields
        self.plain_base, self.inline_fields = is_plain(node), False
        with self.region("class", *self._decorators(node), "(", *bases, ")") as made:
            for member in node.body:
                self.member(member)
        self.plain_base, self.inline_fields = plain, inlined
        self._bind_name(node.name, made[0])

    def member(self, member: ast.stmt) -> None:
        """One of a class: a method, an attribute of all its instances, or another statement."""
        match member:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                outer = self.frame
                is_building = member.name == "__init__" and self.inline_fields
                decorators = [self.put(part) for part in self._decorators(member)]
                self.mark("def", self.label(member.name), *decorators, *self.signature(member))
                self.frame = Frame(outer=outer, fields=outer.fields, building=is_building)
                self.function(member, prefix="%I" if is_building else "%P", fields=outer.fields)
                self.frame = outer
                self.mark("end")
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                computed = self.value(value)
                self.effect("set", self.label(name), computed)
                self.frame.values[name] = computed
            case _:
                self.block([member])


class _Bound(ast.stmt):
    """What a loop's variable is in each turn."""

    def __init__(self, target: ast.expr, item: Value) -> None:
        super().__init__()
        self.target, self.item = target, item


def is_plain(node: ast.ClassDef) -> bool:
    """Whether a class has no base but torch's `Module`."""
    names = {getattr(base, "attr", getattr(base, "id", "")) for base in node.bases}
    return names <= _PLAIN_BASES and not node.keywords


def _is_of_base(node: ast.Call) -> bool:
    """`super().__init__()`, `super(C, self).__init__()`, `nn.Module.__init__(self)`."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="super"))), args=[], keywords=[]):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="Module") | ast.Name(id="Module")), args=[_]):
            return True
    return False


def _names_a_value(node: ast.AST) -> bool:
    return any(isinstance(part, ast.NamedExpr) for part in ast.walk(node))


def _match(targets: Sequence[ast.expr], values: Sequence[ast.expr]) -> bool:
    return len(targets) == len(values) and not any(isinstance(part, ast.Starred) for part in (*targets, *values))
