"""The part of a source file that is its architecture: what `Net` reaches, and nothing else.

Only read, never run. Every walk is a loop over an explicit queue, so that no nesting exhausts the stack.
"""

import ast
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeGuard

from archloop.errors import ArchloopError
from services.novelty.trees import statements, walk

MAX_SOURCE_BYTES = 1024 * 1024
RECIPE = frozenset({"train_setup", "learn", "supported_hyperparameters"})
ALWAYS = ("__init__", "forward", "__call__")

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_ONE_AT_A_TIME = threading.Lock()
_DISTURBED_AT_MOST = 20
_BLOCKS = ("body", "orelse", "finalbody")


class UnreadableSource(ArchloopError):
    """Source that is no Python, or too large or too deep to be read; no retry will mend it."""

    code = "unreadable_source"


@dataclass
class Unit:
    """A reached module-level definition; of a class only the members that count, `__init__` and `forward` first.

    `token` is its canonical name: its kind, and its place in the order of first mention.
    """

    token: str
    node: ast.AST
    members: list[ast.stmt] = field(default_factory=list)

    @property
    def functions(self) -> Iterator[Function]:
        """The functions in it: its methods, or itself."""
        candidates = self.members if isinstance(self.node, ast.ClassDef) else [self.node]
        return (node for node in candidates if isinstance(node, FUNCTIONS))


@dataclass(frozen=True)
class Program:
    """The reached definitions in the order in which they are first mentioned, and what the imports call things."""

    units: dict[str, Unit]
    imports: dict[str, str]


def read(source: str) -> Program:
    """Parse and keep what counts. Raises UnreadableSource."""
    tree = _parse(source)
    _strip(tree)
    definitions = _definitions(tree)
    units = _Reach(definitions).units(_roots(definitions)) or {"": Unit("M0", tree)}
    return Program(units, _imports(tree))


def self_name(function: Function) -> str:
    """What a method calls its instance."""
    positional = function.args.posonlyargs + function.args.args
    return positional[0].arg if positional else ""


def parameters(function: Function | ast.Lambda) -> list[str]:
    """All parameter names, in order."""
    return [arg.arg for arg in _arguments(function)]


def _arguments(function: Function | ast.Lambda) -> list[ast.arg]:
    spec = function.args
    starred = [arg for arg in (spec.vararg, spec.kwarg) if arg]
    return [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *starred]


def _parse(source: str) -> ast.Module:
    size = len(source.encode("utf-8", "surrogatepass"))
    if size > MAX_SOURCE_BYTES:
        raise UnreadableSource(f"source has {size} bytes; at most {MAX_SOURCE_BYTES} are read")
    try:
        return _undisturbed(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnreadableSource(f"source cannot be parsed: {type(error).__name__}: {error}") from error


def _undisturbed(source: str) -> ast.Module:
    """CPython's parser counts its depth for all threads, and raises SystemError where two are in it (its issue 106905).

    Ours take turns. Who formats a traceback meanwhile, on the event loop's, parses too: then it is done again.
    """
    with _ONE_AT_A_TIME:
        for _ in range(_DISTURBED_AT_MOST):
            with suppress(SystemError):
                return ast.parse(source)
        return ast.parse(source)


def _strip(tree: ast.Module) -> None:
    """Remove, in place, what is not architecture: docstrings, annotations, decorators, assertions, raises, prints."""
    for node in statements(tree):
        for name in _BLOCKS:
            block = getattr(node, name, None)
            if isinstance(block, list):
                setattr(node, name, [s for s in block if not _is_noise(s)])
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.ClassDef):
            node.decorator_list = []
        elif isinstance(node, FUNCTIONS):
            node.decorator_list, node.returns = [], None
            for arg in _arguments(node):
                arg.annotation = None


def _is_noise(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assert | ast.Raise | ast.Pass | ast.Global | ast.Nonlocal):
        return True
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    printed = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "print"
    return printed or isinstance(value, ast.Constant)


def _definitions(tree: ast.Module) -> dict[str, ast.stmt]:
    """Module-level names and what defines them last, also below `if`, `try` and `with`."""
    found: dict[str, ast.stmt] = {}
    queue: deque[ast.AST] = deque(tree.body)
    while queue:
        node = queue.popleft()
        found |= {name: node for name in defined_names(node) if isinstance(node, ast.stmt)}
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            queue.extend(n for n in ast.iter_child_nodes(node) if isinstance(n, ast.stmt | ast.ExceptHandler))
    return {name: node for name, node in found.items() if name not in RECIPE}


def defined_names(node: ast.AST) -> list[str]:
    """The names that a definition or an assignment gives a meaning to."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [n.id for target in targets for n in walk(target) if is_stored(n)]
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return [name]
    return []


def is_stored(node: ast.AST) -> TypeGuard[ast.Name]:
    """Whether the node is a variable being assigned to."""
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _roots(definitions: dict[str, ast.stmt]) -> list[str]:
    """`Net`; where there is none, every class with a `forward`; where there is none either, everything."""
    if "Net" in definitions:
        return ["Net"]
    modules = [
        name
        for name, node in definitions.items()
        if isinstance(node, ast.ClassDef) and any("forward" in defined_names(member) for member in node.body)
    ]
    return modules or list(definitions)


def _imports(tree: ast.Module) -> dict[str, str]:
    aliases = (a for n in statements(tree) if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names)
    return {alias.asname: alias.name.rpartition(".")[2] for alias in aliases if alias.asname}


class _Reach:
    """Which definitions and class members are mentioned, from the roots on.

    A member counts once its name is mentioned as an attribute anywhere in what counts already.
    """

    def __init__(self, definitions: dict[str, ast.stmt]) -> None:
        self._definitions = definitions
        self._units: dict[str, Unit] = {}
        self._mentioned: set[str] = set()
        self._taken: set[int] = set()
        self._unmentioned: dict[str, list[tuple[Unit, ast.stmt]]] = defaultdict(list)
        self._queue: deque[ast.AST] = deque()

    def units(self, roots: list[str]) -> dict[str, Unit]:
        for root in roots:
            self._reach(root)
        while self._queue:
            for node in walk(self._queue.popleft()):
                if isinstance(node, ast.Name):
                    self._reach(node.id)
                elif isinstance(node, ast.Attribute):
                    self._mention(node.attr)
        return self._units

    def _reach(self, name: str) -> None:
        node = self._definitions.get(name)
        if node is None or name in self._units:
            return
        unit = self._units[name] = Unit(f"{type(node).__name__[0]}{len(self._units)}", node)
        if not isinstance(node, ast.ClassDef):
            self._queue.append(node)
            return
        self._queue.extend([*node.bases, *node.keywords])
        last = {member.name: member for member in node.body if isinstance(member, FUNCTIONS)}
        for member in sorted(node.body, key=_rank):
            if not isinstance(member, FUNCTIONS) or last[member.name] is member:
                self._offer(unit, member)

    def _offer(self, unit: Unit, member: ast.stmt) -> None:
        names = set(defined_names(member))
        if names & RECIPE:
            return
        if not names or names & (self._mentioned | set(ALWAYS)):
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


def _rank(member: ast.stmt) -> int:
    """`__init__`, `forward` and `__call__` in this order, then the rest as written."""
    names = defined_names(member)
    return ALWAYS.index(names[0]) if names and names[0] in ALWAYS else len(ALWAYS)
