"""What a file defines at module level, and which statements make each definition what it is.

A plain definition is read by itself. Whatever else touches a name at module level (`+=`, `.append`, `C.x = …`, an `if`,
a loop, a decorator of the file's own) is kept beside it, as written: what is not understood counts.
"""

import ast
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence

from services.novelty.facts import MUTATING
from services.novelty.frames import stored_names
from services.novelty.program import FUNCTIONS, RECIPE, Unit, defined_names
from services.novelty.trees import nodes, statements, walk

_HARMLESS = frozenset({"override", "final", "overload", "ignore", "unused", "export", "interface", "compile"})
"""Decorators, by their last name, that change nothing of what is computed."""

_ASIDE = frozenset({"print", "warnings", "logging", "logger", "sys", "os", "np", "numpy", "random", "gc", "matplotlib"})
_SETTINGS = frozenset({"manual_seed", "backends", "set_float32_matmul_precision", "set_num_threads", "cuda"})
_CONSTANTS = (ast.Constant, ast.UnaryOp, ast.BinOp)
_OPAQUE = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.AugAssign, ast.Delete, ast.Match)


class Definitions:
    """Module-level names: the statements that give each a meaning or change it, in order."""

    def __init__(self, tree: ast.Module) -> None:
        self.of: dict[str, list[ast.stmt]] = defaultdict(list)
        self.effects: list[ast.stmt] = []
        changing: list[ast.stmt] = []
        body = list(_taken(tree.body, _truths(tree)))
        for statement in body:
            if isinstance(statement, ast.Import | ast.ImportFrom) or _is_main_guard(statement) or _is_print(statement):
                continue
            if isinstance(statement, (ast.Expr, *_OPAQUE)) or not (names := plain_names(statement)):
                changing.append(statement)
                names = [*stored_names(statement)]
            for name in set(names) - RECIPE:
                self.of[name].append(statement)
        for statement in changing:
            self._change(statement)
        for statement in body:
            if statement not in changing and isinstance(statement, ast.Assign | ast.AnnAssign):
                self._attach(statement, self._disturbed_by(_names(statement)))
        self._order = {id(statement): place for place, statement in enumerate(body)}

    def _change(self, statement: ast.stmt) -> None:
        """A statement that may change all that it mentions; what mentions nothing of the file changes torch itself."""
        mentioned = _names(statement) & self.of.keys()
        self._attach(statement, self._aliased(mentioned) | self._disturbed_by(mentioned))
        if not mentioned and not _is_aside(statement):
            self.effects.append(statement)

    def _attach(self, statement: ast.stmt, names: set[str]) -> None:
        for name in names:
            if statement not in self.of[name]:
                self.of[name].append(statement)

    def _aliased(self, names: set[str]) -> set[str]:
        """The names, and those that may be other names of what they stand for."""
        found, queue = set(names), deque(names)
        while queue:
            assigned = [s for s in self.of[queue.popleft()] if isinstance(s, ast.Assign | ast.AnnAssign)]
            more = {name for statement in assigned for name in _names(statement)} & self.of.keys() - found
            found |= more
            queue += more
        return found

    def _disturbed_by(self, names: set[str]) -> set[str]:
        """What is changed by the functions among the names, and by those that they call."""
        found, queue, seen = set[str](), deque(names & self.of.keys()), set[str]()
        while queue:
            name = queue.popleft()
            if name in seen:
                continue
            seen.add(name)
            functions = [s for s in self.of[name] if isinstance(s, (*FUNCTIONS, ast.ClassDef))]
            found |= {n for function in functions for n in _disturbed(function)} & self.of.keys()
            queue += {n for function in functions for n in _names(function)} & self.of.keys() - seen
        return found

    def statements(self, name: str) -> list[ast.stmt]:
        """In the order of the file."""
        return sorted(self.of.get(name, ()), key=lambda statement: self._order[id(statement)])

    def roots(self) -> list[str]:
        """`Net`; where there is none, every class with a `forward`; where there is none either, everything."""
        if "Net" in self.of:
            return ["Net"]
        modules = [name for name, of in self.of.items() if any(_has_forward(statement) for statement in of)]
        return modules or list(self.of)

    def constants(self, units: dict[str, Unit]) -> dict[str, ast.expr]:
        """Taken out of the units: names that stand for a number, a text or the like, and for nothing else."""
        found: dict[str, ast.expr] = {}
        for name, unit in list(units.items()):
            value = getattr(unit.node, "value", None)
            if not unit.statements and isinstance(value, _CONSTANTS) and all(_is_constant(n) for n in walk(value)):
                found[name] = value
                del units[name]
        return found


def _truths(tree: ast.Module) -> dict[str, bool]:
    """Names that are given one constant for good, and whether it counts as true."""
    stored = Counter(name for statement in tree.body for name in stored_names(statement))
    assigned = (s for s in tree.body if isinstance(s, ast.Assign) and isinstance(s.value, ast.Constant))
    names = ((target.id, s.value) for s in assigned for target in s.targets if isinstance(target, ast.Name))
    return {name: bool(value.value) for name, value in names if stored[name] == 1 and isinstance(value, ast.Constant)}


def _taken(body: Sequence[ast.stmt], truths: Mapping[str, bool]) -> Iterator[ast.stmt]:
    """Statements, those of a branch that is always or never taken in its place."""
    for statement in body:
        truth = _truth(statement.test, truths) if isinstance(statement, ast.If) else None
        if truth is None or not isinstance(statement, ast.If):
            yield statement
        else:
            yield from _taken(statement.body if truth else statement.orelse, truths)


def _truth(test: ast.expr, truths: Mapping[str, bool]) -> bool | None:
    match test:
        case ast.Constant(value=value):
            return bool(value)
        case ast.Name(id=name):
            return truths.get(name)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            truth = _truth(operand, truths)
            return None if truth is None else not truth
    return None


def _is_constant(node: ast.AST) -> bool:
    return isinstance(node, (*_CONSTANTS, ast.Name))


def plain_names(statement: ast.stmt) -> list[str]:
    """What a definition or a simple assignment defines; none where it does more than that."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [] if any(not is_harmless(d) for d in statement.decorator_list) else [statement.name]
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return [name]
    return []


def is_harmless(decorator: ast.expr) -> bool:
    """Whether a decorator changes nothing of what is computed."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return getattr(called, "attr", getattr(called, "id", "")) in _HARMLESS


def _names(statement: ast.stmt) -> set[str]:
    return {node.id for node in nodes(statement) if isinstance(node, ast.Name)}


def _disturbed(statement: ast.stmt) -> Iterator[str]:
    """Names that a function or a class changes from within, if they are those of the module."""
    for node in nodes(statement):
        match node:
            case ast.Global(names=names):
                yield from names
            case ast.Attribute() | ast.Subscript() if not isinstance(node.ctx, ast.Load):
                yield dotted(node)[0]
            case ast.Call(func=ast.Attribute(value=owner, attr=name)) if name in MUTATING:
                yield dotted(owner)[0]
            case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[owner, *_]):
                yield dotted(owner)[0]


def _is_print(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"))):
            return not any(isinstance(node, ast.NamedExpr) for node in nodes(statement))
    return False


def _is_main_guard(statement: ast.stmt) -> bool:
    """`if __name__ == "__main__":`, which is not run by who imports the file."""
    match statement:
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()]), orelse=[]):
            return True
    return False


def _is_aside(statement: ast.stmt) -> bool:
    """Documentation, printing, seeds and switches."""
    match statement:
        case ast.Expr(value=ast.Constant()) | ast.Pass() | ast.Assert() | ast.AnnAssign(value=None):
            return True
        case ast.Try(body=body, handlers=handlers, orelse=[], finalbody=[]):
            return all(
                isinstance(s, ast.Import | ast.ImportFrom | ast.Pass)
                for b in (body, *(h.body for h in handlers))
                for s in b
            )
        case ast.Expr(value=ast.Call(func=target)) | ast.Assign(targets=[target]):
            names = dotted(target)
            return names[0] in _ASIDE or (len(names) > 1 and names[1] in _SETTINGS)
    return False


def dotted(node: ast.expr) -> list[str]:
    """The parts of a dotted name; empty for what has none."""
    names: list[str] = []
    while isinstance(node, ast.Attribute | ast.Subscript):
        names += [node.attr] if isinstance(node, ast.Attribute) else []
        node = node.value
    return [getattr(node, "id", ""), *reversed(names)]


def _has_forward(statement: ast.stmt) -> bool:
    classes = (node for node in nodes(statement) if isinstance(node, ast.ClassDef))
    return any("forward" in defined_names(member) for node in classes for member in node.body)


def imports(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for, in full; where imports disagree, all that it may stand for."""
    found: dict[str, set[str]] = defaultdict(set)
    for node in statements(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]].add(alias.name if alias.asname else "")
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name].add(f"{node.module or ''}.{alias.name}")
    return {name: "|".join(sorted(of - {""})) or name for name, of in found.items()}
