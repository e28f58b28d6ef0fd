"""Which definitions of a file `Net` reaches, and which statements make each of them what it is.

A plain definition is read by itself. Whatever else touches a name at module level (`+=`, `.append`, `C.x = …`, an `if`,
a loop, a decorator of the file's own) is kept beside it, as written: what is not understood counts.
"""

import ast
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence

from services.novelty.facts import Facts
from services.novelty.program import ALWAYS, FUNCTIONS, RECIPE, Program, Unit, defined_names, parse, self_name
from services.novelty.signatures import MEMBERS
from services.novelty.trees import nodes, statements, walk

_HARMLESS = frozenset({"override", "final", "overload", "ignore", "unused", "export", "interface", "compile"})
"""Decorators, by their last name, that change nothing of what is computed."""

_SILENT = frozenset({"__repr__", "__str__", "extra_repr", "__del__"})
_ASIDE = frozenset({"print", "warnings", "logging", "logger", "sys", "os", "np", "numpy", "random", "gc", "matplotlib"})
_SETTINGS = frozenset({"manual_seed", "backends", "set_float32_matmul_precision", "set_num_threads", "cuda"})
_PLAIN = frozenset({"Module", "object", "ABC", "Protocol", "Generic"})
_CONSTANTS = (ast.Constant, ast.UnaryOp, ast.BinOp)
_OPAQUE = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.AugAssign, ast.Delete, ast.Match)


def read(source: str) -> Program:
    """Parse and keep what counts. Raises UnreadableSource."""
    tree = parse(source)
    definitions = _Definitions(tree)
    reach = _Reach(definitions)
    units = reach.units(definitions.roots()) or {"": Unit(tree)}
    constants = definitions.constants(units)
    for place, unit in enumerate(units.values()):
        unit.token = f"%{type(unit.node).__name__[0]}{place}"
    return Program(tree, units, constants, imports(tree), reach.facts)


class _Definitions:
    """Module-level names: the statements that give each a meaning or change it, in order."""

    def __init__(self, tree: ast.Module) -> None:
        self.of: dict[str, list[ast.stmt]] = defaultdict(list)
        self.effects: list[ast.stmt] = []
        changing: list[ast.stmt] = []
        body = list(_taken(tree.body, _truths(tree)))
        for statement in body:
            if isinstance(statement, ast.Import | ast.ImportFrom) or _is_main_guard(statement):
                continue
            if isinstance(statement, (ast.Expr, *_OPAQUE)) or not (names := _plain_names(statement)):
                changing.append(statement)
                names = _bound_names(statement)
            for name in set(names) - RECIPE:
                self.of[name].append(statement)
        for statement in changing:
            self._change(statement)
        self._order = {id(statement): place for place, statement in enumerate(body)}

    def _change(self, statement: ast.stmt) -> None:
        """A statement that may change all that it mentions; what mentions nothing of the file changes torch itself."""
        mentioned = {node.id for node in nodes(statement) if isinstance(node, ast.Name)} & self.of.keys()
        for name in mentioned:
            if statement not in self.of[name]:
                self.of[name].append(statement)
        if not mentioned and not _is_aside(statement):
            self.effects.append(statement)

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
    stored = Counter(name for statement in tree.body for name in _bound_names(statement))
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


def _plain_names(statement: ast.stmt) -> list[str]:
    """What a definition or a simple assignment defines; none where it does more than that."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [] if any(not is_harmless(d) for d in statement.decorator_list) else [statement.name]
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return [name]
    return []


def _bound_names(statement: ast.stmt) -> list[str]:
    found = list(defined_names(statement))
    for node in nodes(statement):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            found.append(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.append(node.id)
    return found


def is_harmless(decorator: ast.expr) -> bool:
    """Whether a decorator changes nothing of what is computed."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return getattr(called, "attr", getattr(called, "id", "")) in _HARMLESS


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
            names = _dotted(target)
            return names[0] in _ASIDE or len(names) > 1 and names[1] in _SETTINGS
    return False


def _dotted(node: ast.expr) -> list[str]:
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


class _Reach:
    """Which definitions and class members are mentioned, from the roots on.

    A member counts once its name is mentioned as an attribute or a text anywhere in what counts already.
    """

    def __init__(self, definitions: _Definitions) -> None:
        self.facts = Facts()
        self._definitions = definitions
        self._units: dict[str, Unit] = {}
        self._mentioned: set[str] = set()
        self._taken: set[int] = set()
        self._unmentioned: dict[str, list[tuple[Unit, ast.stmt]]] = defaultdict(list)
        self._queue: deque[ast.AST] = deque()

    def units(self, roots: list[str]) -> dict[str, Unit]:
        for root in roots:
            self._reach(root)
        if self._units:
            self._effects()
        self._run()
        while (self.facts.dynamic or self.facts.reflective) and self._unmentioned:
            for name in list(self._unmentioned):
                self._mention(name)
            self._run()
        return self._units

    def _run(self) -> None:
        see = self.facts.see
        while self._queue:
            for node in walk(self._queue.popleft()):
                see(node)
                if isinstance(node, ast.Name):
                    self._reach(node.id)
                elif isinstance(node, ast.Attribute):
                    self._mention(node.attr)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    self._mention(node.value)

    def _effects(self) -> None:
        for place, statement in enumerate(self._definitions.effects):
            self._units[f" {place}"] = Unit(statement, statements=[statement])
            self._queue.append(statement)

    def _reach(self, name: str) -> None:
        if name in self._units or not (making := self._definitions.statements(name)):
            return
        node = making[-1]
        unit = self._units[name] = Unit(node)
        if len(making) > 1 or not _plain_names(node):
            unit.statements = making
            self._queue.extend(making)
            self.facts.foreign.update(n.attr for s in making for n in nodes(s) if isinstance(n, ast.Attribute))
        elif isinstance(node, ast.ClassDef):
            self._members(unit, node)
        else:
            self._queue.append(node)

    def _members(self, unit: Unit, node: ast.ClassDef) -> None:
        self._queue.extend([*node.bases, *node.keywords])
        self.facts.instances.update(self_name(m) for m in node.body if isinstance(m, FUNCTIONS))
        last = {member.name: member for member in node.body if isinstance(member, FUNCTIONS)}
        is_plain = all(_dotted(base)[-1] in _PLAIN or _dotted(base)[-1] in self._definitions.of for base in node.bases)
        for member in sorted(node.body, key=rank):
            if not isinstance(member, FUNCTIONS) or last[member.name] is member or member.decorator_list:
                self._offer(unit, member, is_plain=is_plain)

    def _offer(self, unit: Unit, member: ast.stmt, *, is_plain: bool) -> None:
        """What torch, or a base class from elsewhere, calls by itself counts without being mentioned."""
        names = set(defined_names(member))
        if names & RECIPE or names & _SILENT:
            return
        special = any(name in MEMBERS or name.startswith("__") or not is_plain for name in names)
        if not names or special or names & self._mentioned:
            self._take(unit, member)
        for name in names - self._mentioned:
            self._unmentioned[name].append((unit, member))

    def _mention(self, name: str) -> None:
        self._mentioned.add(name)
        for unit, member in self._unmentioned.pop(name, ()):
            self._take(unit, member)

    def _take(self, unit: Unit, member: ast.stmt) -> None:
        if id(member) not in self._taken:
            self._taken.add(id(member))
            unit.members.append(member)
            self._queue.append(member)


def rank(member: ast.stmt) -> int:
    """`__init__`, `forward` and `__call__` in this order, then the rest as written."""
    names = defined_names(member)
    return ALWAYS.index(names[0]) if names and names[0] in ALWAYS else len(ALWAYS)
