"""Which definitions of a file `Net` reaches."""

import ast
from collections import defaultdict, deque

from services.novelty.facts import Facts
from services.novelty.module_level import Definitions, dotted, imports, plain_names
from services.novelty.program import ALWAYS, FUNCTIONS, RECIPE, Program, Unit, defined_names, parse, self_name
from services.novelty.signatures import MEMBERS
from services.novelty.trees import nodes, walk

_SILENT = frozenset({"__repr__", "__str__", "extra_repr", "__del__"})
_PLAIN = frozenset({"Module", "object", "ABC", "Protocol", "Generic"})


def read(source: str) -> Program:
    """Parse and keep what counts. Raises UnreadableSource."""
    tree = parse(source)
    definitions = Definitions(tree)
    reach = _Reach(definitions)
    units = reach.units(definitions.roots()) or {"": Unit(tree)}
    constants = definitions.constants(units)
    for place, unit in enumerate(units.values()):
        unit.token = f"%{type(unit.node).__name__[0]}{place}"
    return Program(tree, units, constants, imports(tree), reach.facts)


class _Reach:
    """Which definitions and class members are mentioned, from the roots on.

    A member counts once its name is mentioned as an attribute or a text anywhere in what counts already.
    """

    def __init__(self, definitions: Definitions) -> None:
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
            self._queue.append(node)

    def _members(self, unit: Unit, node: ast.ClassDef) -> None:
        self._queue.extend([*node.bases, *node.keywords])
        self.facts.instances.update(self_name(m) for m in node.body if isinstance(m, FUNCTIONS))
        last = {member.name: member for member in node.body if isinstance(member, FUNCTIONS)}
        is_plain = all(dotted(base)[-1] in _PLAIN or dotted(base)[-1] in self._definitions.of for base in node.bases)
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
