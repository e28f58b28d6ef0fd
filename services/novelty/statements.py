"""Reading statements as steps."""

import ast
from collections.abc import Mapping, Sequence
from typing import ClassVar

from services.novelty.assignments import Assignments, Bound, Execution
from services.novelty.branches import imported_names
from services.novelty.call_signatures import canonical
from services.novelty.effects import does_more
from services.novelty.facts import NAMING, WHOLE
from services.novelty.instructions import Node
from services.novelty.names import SELF, Value
from services.novelty.trees import nodes

_GROWING = frozenset({"append", "extend"})
_NEVER_NOISE = frozenset({ast.Assign, ast.AugAssign, ast.Return, ast.For, ast.FunctionDef})
_UNTRUE = ("False", "None", 0)
_KNOWN = (*_UNTRUE, "True")


class _Test(ast.stmt):
    """Stands for the test of a loop or the guard of a case."""

    def __init__(self, test: ast.expr) -> None:
        super().__init__()
        self.test = test


class Statements(Assignments):
    """Reads blocks: carries out each statement by the method for its kind."""

    plain_base = True
    """Whether the class that is read has no base but torch's `Module`, whose `__init__` every class calls."""

    def block(self, body: Sequence[ast.stmt]) -> None:
        """Read statements one after the other."""
        for place, statement in enumerate(body):
            if type(statement) not in _NEVER_NOISE and self.is_noise(statement):
                continue
            if self.facts.whole and self.frame.building and self._goes_through_all(statement):
                self._pin(body[place + 1 :])
            self.EXECUTIONS.get(type(statement), Statements._do_any)(self, statement)
            if self.facts.ordered:
                self.stream.flush()

    def _goes_through_all(self, statement: ast.stmt) -> bool:
        """Say whether a statement iterates over all layers of a module."""
        naming = self.facts.naming
        return any(isinstance(n, ast.Attribute) and n.attr in WHOLE and id(n) not in naming for n in nodes(statement))

    def _pin(self, following: Sequence[ast.stmt]) -> None:
        """Write the layers made so far, which are iterated here; needless if no attribute is assigned afterwards."""
        if any(isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store) for s in following for n in nodes(s)):
            self.mark("all", *self.frame.fields.values())

    def returned(self, body: Sequence[ast.stmt]) -> Value:
        """Read statements without branches; return what the last one returns."""
        last = body[-1] if isinstance(body[-1], ast.Return) else None
        self.block(body[:-1] if last else body)
        return self.value(last.value) if last and last.value else "None"

    def is_noise(self, statement: ast.stmt) -> bool:
        """Say whether a statement does nothing or only refuses: documentation, checks that nobody catches."""
        match statement:
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                return True
            case ast.Import() | ast.ImportFrom():
                # a name that the file changes elsewhere is not only that of what is imported
                is_named_anew = any(name in self.program.units for name, _ in imported_names(statement))
                return self.frame.module and not self.facts.guarded and not is_named_anew
            case ast.Assert(test=test):
                return not self.facts.guarded and not does_more(test)
            case ast.Raise():
                return not self.facts.guarded
            case ast.If(test=test, body=body, orelse=orelse):
                return not does_more(test) and all(self.is_noise(s) for s in (*body, *orelse))
        return False

    def _do_import(self, node: ast.Import | ast.ImportFrom) -> None:
        if self.facts.guarded:
            self.mark("import", *(repr(full) for _, full in imported_names(node)))
        for name, full in imported_names(node):
            self._bind_name(name, canonical(full))

    # Expressions

    def _do_expr(self, node: ast.Expr) -> None:
        match node.value:
            case ast.Call(func=ast.Attribute(attr="__init__")) if self.plain_base and _is_of_base(node.value):
                return
            case ast.Call(func=ast.Attribute(value=ast.Name() as target, attr=name), args=[added], keywords=[]) if (
                name in _GROWING and self._grow(target, added, one=name == "append")
            ):
                return
            case ast.Call(func=ast.Attribute(value=ast.Attribute() as owner, attr="append"), args=[added]) if (
                self._lengthen(owner, added)
            ):
                return
            case ast.Call(
                func=ast.Attribute(value=ast.Attribute() as owner, attr="add_module"),
                args=[ast.Constant(value=str(given)), added],
            ) if given not in self.facts.attributes and self._lengthen(owner, added):
                return
            case ast.Call(
                func=ast.Attribute(value=ast.Name() as target, attr="add_module"),
                args=[ast.Constant(value=str(given)), added],
            ) if given not in self.facts.attributes and self._grow(target, added, one=True):
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

    def _do_leave(self, node: ast.Return | ast.Raise) -> None:
        how, given = ("return", node.value) if isinstance(node, ast.Return) else ("raise", node.exc)
        value = self.put(self.value(given)) if given else "None"
        self.stream.flush()
        self.mark(how, value)

    def _do_any(self, node: ast.stmt) -> None:
        self._cells(node)
        self.effect(self._any(node))

    def _do_global(self, node: ast.Global | ast.Nonlocal) -> None:
        self.mark("global", *(self._elsewhere(name) for name in node.names))

    # Branches and loops

    def _cells(self, statement: ast.stmt) -> None:
        """Prepare for a branch or loop: variables that it may change become cells, lists can no longer grow."""
        if self.frame.module:
            return
        for made in self._closed():
            self.put(made)
        self.stream.flush()
        for name in self.frame.changed_in(statement, walrus=self.facts.walrus):
            self._cell(name)

    def _closed(self) -> list[Node]:
        """Fix all lists that could still grow, and return them."""
        growing = [v for v in self.frame.values.values() if type(v) is Node and v.items is not None]
        for made in growing:
            if made.items is not None:
                self.close(made)
        return growing

    def _branch(self, *head: Value, body: Sequence[ast.stmt]) -> None:
        self.stream.flush()
        self.mark(*head, "{")
        frame, building, portable = self.frame, self.frame.building, self.frame.portable
        frame.depth, frame.building, frame.portable = frame.depth + 1, False, False
        self.block(body)
        self._closed()
        self.stream.flush()
        frame.depth, frame.building, frame.portable = frame.depth - 1, building, portable
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
        self._branch("while", body=[_Test(node.test), *node.body])
        if node.orelse:
            self._branch("else", body=node.orelse)

    def _do_for(self, node: ast.For | ast.AsyncFor) -> None:
        self._cells(node)
        iterated = self.put(self.iterated(node.iter))
        self.stream.flush()
        item = self.put(self.pure("each", iterated))
        self._branch("for", body=[Bound(node.target, item), *node.body])
        if node.orelse:
            self._branch("else", body=node.orelse)

    def _do_test(self, node: "_Test") -> None:
        self.stream.flush()
        self.mark("test", self.value(node.test))

    def _do_with(self, node: ast.With | ast.AsyncWith) -> None:
        """Read a `with`: its body runs once, as if it stood beside it."""
        contexts = [(self.put(self.value(item.context_expr)), item.optional_vars) for item in node.items]
        self.stream.flush()
        self.mark("with", *(context for context, _ in contexts), "{")
        for context, target in contexts:
            if target is not None:
                self.bind(target, self.put(self.step("enter", context)))
        self.block(node.body)
        self.stream.flush()
        self.mark("}")

    def _do_try(self, node: ast.Try | ast.TryStar) -> None:
        self._cells(node)
        self._branch("try", body=node.body)
        for handler in node.handlers:
            caught = self.value(handler.type) if handler.type else "_"
            self._branch("except", caught, body=handler.body)
        self._branch("else", body=node.orelse)
        self._branch("finally", body=node.finalbody)

    def _do_match(self, node: ast.Match) -> None:
        self._cells(node)
        self.mark("match", self.value(node.subject))
        for case in node.cases:
            guard = [_Test(case.guard)] if case.guard else []
            self._branch("case", ast.dump(case.pattern), body=[*guard, *case.body])

    EXECUTIONS: ClassVar[Mapping[type[ast.stmt], Execution]] = {
        **Assignments.EXECUTIONS,
        ast.Import: _do_import,
        ast.ImportFrom: _do_import,
        ast.Expr: _do_expr,
        ast.Return: _do_leave,
        ast.Raise: _do_leave,
        ast.Global: _do_global,
        ast.Nonlocal: _do_global,
        ast.If: _do_if,
        ast.While: _do_while,
        ast.For: _do_for,
        ast.AsyncFor: _do_for,
        _Test: _do_test,
        ast.With: _do_with,
        ast.AsyncWith: _do_with,
        ast.Try: _do_try,
        ast.TryStar: _do_try,
        ast.Match: _do_match,
    }


def _is_of_base(node: ast.Call) -> bool:
    """Match `super().__init__()`, `super(C, self).__init__()` and `nn.Module.__init__(self)`."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="super"))), args=[], keywords=[]):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="Module") | ast.Name(id="Module")), args=[_]):
            return True
    return False
