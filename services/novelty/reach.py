"""The definitions of a file that `Net` reaches."""

import ast
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

from services.novelty.call_signatures import MEMBERS
from services.novelty.effects import does_more, root
from services.novelty.facts import SEEN, Facts
from services.novelty.module_level import Definitions, plain_names, read_at_once
from services.novelty.program import (
    ALWAYS,
    FUNCTIONS,
    RECIPE,
    Program,
    Unit,
    defined_names,
    parameters,
    parse,
    self_name,
)
from services.novelty.trees import nodes, statements, walk

_SAYING = frozenset({"print", "logging", "logger", "log", "warnings"})
_SILENT = frozenset({"__repr__", "__str__", "extra_repr", "__del__"})


def read(source: str) -> Program:
    """Parse a source and keep what `Net` reaches. Raises UnreadableSource."""
    tree = parse(source)
    _strip(tree)
    definitions = Definitions(tree)
    reach = _Reach(definitions)
    units = reach.units(definitions.roots()) or {"": Unit(tree)}
    ordered = _ordered(definitions, units)
    constants = definitions.constants(units, reach.facts.mutated)
    for place, unit in enumerate(units.values()):
        unit.token = f"%{type(unit.node).__name__[0]}{place}"
    return Program(tree, units, constants, definitions.imports, reach.facts, ordered)


def _strip(tree: ast.Module) -> None:
    """Remove prints and logs, in place."""
    said = {node for node in statements(tree) if type(node) is ast.Expr and _is_said(node)}
    for node in statements(tree) if said else ():
        for name in ("body", "orelse", "finalbody") if "body" in node._fields else ():
            block = getattr(node, name, None)
            if isinstance(block, list) and any(statement in said for statement in block):
                setattr(node, name, [s for s in block if s not in said] or [ast.Pass()])


def _is_said(statement: ast.Expr) -> bool:
    if not isinstance(statement.value, ast.Call):
        return False
    return root(statement.value.func) in _SAYING and not does_more(*statement.value.args)


def _ordered(definitions: Definitions, units: dict[str, Unit]) -> list[ast.stmt]:
    """Return the statements to be read in the order of the file: those that change names or read them at definition."""
    changed = {name for name, unit in units.items() if unit.statements}
    more = True
    while changed and more:
        late = {
            name for name, unit in units.items() if name not in changed and changed & _read_at_once(unit.node).keys()
        }
        for name in late:
            units[name].statements = definitions.statements(name)
        changed |= late
        more = bool(late)
    return definitions.in_order(statement for name in changed for statement in units[name].statements)


def _read_at_once(node: ast.AST) -> dict[str, None]:
    """Return the names that a definition reads when it is executed, not when it is called, in their order."""
    found = (n.id for part in read_at_once(node) for n in walk(part) if isinstance(n, ast.Name))
    return dict.fromkeys(found)


class _Reach:
    """The definitions and class members that are mentioned, from the roots on.

    A member counts once its name is mentioned as an attribute or a text anywhere in what counts already.
    """

    def __init__(self, definitions: Definitions) -> None:
        of = definitions.of
        self.facts = Facts(definitions.imports, of.keys(), [name for name in of if definitions.is_class(name)])
        self._definitions = definitions
        self._units: dict[str, Unit] = {}
        self._mentioned: set[str] = set()
        self._taken: set[int] = set()
        self._unmentioned: dict[str, list[tuple[Unit, ast.stmt]]] = defaultdict(list)
        self._queue: deque[ast.AST] = deque()

    def units(self, roots: list[str]) -> dict[str, Unit]:
        for name in roots:
            self._reach(name)
        if self._units:
            self._effects()
        self._run()
        self._recipe()
        self._run()
        self.facts.settle()
        while (self.facts.dynamic or self.facts.reflective) and self._unmentioned:
            for name in list(self._unmentioned):
                self._mention(name)
            self._run()
        return self._units

    def _recipe(self) -> None:
        """Reach the training recipe if it builds the network: if it sets what the rest reads, or calls what does."""
        for name in [name for name in self._unmentioned if name in RECIPE]:
            for _, member in self._unmentioned[name]:
                made, called = _made_and_called(member)
                makes = any(
                    _sets_attributes(m) for n in called for _, m in self._unmentioned.get(n, ()) if n not in RECIPE
                )
                if makes or made & (self.facts.attributes.keys() | {"forward"}):
                    self._mention(name)
                    break

    def _run(self) -> None:
        names: list[str] = []
        while self._queue:
            root = self._queue.popleft()
            is_later = type(root) is ast.FunctionDef and root.name != "__init__" and id(root) in self._taken
            self._see(walk(root), names, is_later=is_later)
        self.facts.read(names)

    def _see(self, below: Sequence[Any], names: list[str], *, is_later: bool) -> None:
        """Record facts about nodes, and reach what they mention; collect the names among them."""
        facts, defined, mentioned, reached = self.facts, self._definitions.of, self._mentioned, self._units
        for node in below:
            kind = type(node)
            if kind is ast.Name:
                name = node.id
                names.append(name)
                if name in defined and name not in reached:
                    self._reach(name)
                continue
            seen = SEEN.get(kind)
            if seen is None:
                continue
            seen(facts, node)
            if kind is ast.Attribute:
                if node.attr not in mentioned:
                    self._mention(node.attr)
                if is_later and type(node.ctx) is not ast.Load:
                    # Calls of this method may see what other calls left behind.
                    facts.ordered = True
            elif kind is ast.Constant and type(node.value) is str:
                self._mention(node.value)

    def _effects(self) -> None:
        for place, statement in enumerate(self._definitions.effects):
            self._units[f" {place}"] = Unit(statement, statements=[statement])
            self._queue.append(statement)

    def _reach(self, name: str) -> None:
        if name in self._units or name not in self._definitions.of:
            return
        making = self._definitions.statements(name)
        node = making[-1]
        unit = self._units[name] = Unit(node)
        if len(making) > 1 or not plain_names(node):
            unit.statements = making
            self._queue.extend(making)
            self.facts.foreign.update(n.attr for s in making for n in nodes(s) if isinstance(n, ast.Attribute))
        elif isinstance(node, ast.ClassDef):
            self._members(unit, node)
        else:
            if isinstance(node, FUNCTIONS) and "self" in parameters(node):
                self.facts.dynamic = True
            self._queue.append(node)

    def _members(self, unit: Unit, node: ast.ClassDef) -> None:
        self._queue.extend([*node.bases, *node.keywords])
        for name in _read_at_once(node):
            self._mention(name)
        self.facts.instances.update(self_name(m) for m in node.body if isinstance(m, FUNCTIONS))
        last = {member.name: member for member in node.body if isinstance(member, FUNCTIONS)}
        is_plain = self._definitions.has_plain_bases(node)
        if any("Enum" in getattr(n, "attr", getattr(n, "id", "")) for base in node.bases for n in walk(base)):
            self.facts.dynamic = True
        for member in sorted(node.body, key=rank):
            if not isinstance(member, FUNCTIONS) or last[member.name] is member or member.decorator_list:
                self._offer(unit, member, is_plain=is_plain)

    def _offer(self, unit: Unit, member: ast.stmt, *, is_plain: bool) -> None:
        """Take a member that torch or a foreign base class calls by itself; keep any other until it is mentioned."""
        names = dict.fromkeys(defined_names(member)).keys()
        if names & _SILENT:
            return
        special = any(name in MEMBERS or name.startswith("__") or not is_plain for name in names)
        if not names or special or names & self._mentioned:
            self._take(unit, member)
        for name in names:
            if name not in self._mentioned:
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


def _made_and_called(member: ast.stmt) -> tuple[set[str], set[str]]:
    """Return the attributes that a member gives a value, and those that it calls."""
    made, called = set[str](), set[str]()
    for node in nodes(member):
        if type(node) is ast.Attribute:
            if type(node.ctx) is not ast.Load:
                made.add(node.attr)
        elif type(node) is ast.Call and type(node.func) is ast.Attribute:
            called.add(node.func.attr)
    return made, called


def _sets_attributes(member: ast.stmt) -> bool:
    """Say whether a method assigns to attributes."""
    return any(isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store) for n in walk(member))


def rank(member: ast.stmt) -> int:
    """Return the sort key of a member: `__init__`, `forward` and `__call__` in this order, then the rest."""
    names = defined_names(member)
    return ALWAYS.index(names[0]) if names and names[0] in ALWAYS else len(ALWAYS)
