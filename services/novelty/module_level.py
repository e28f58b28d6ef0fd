"""The definitions of a file at module level, each with the statements that affect it.

A plain definition is read by itself. Whatever else touches a name at module level (`+=`, `.append`, `C.x = …`, an `if`,
a loop, a decorator of the file's own) is kept beside it, as written: what cannot be followed is never ignored.
"""

import ast
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from services.novelty.branches import imported, taken, truths
from services.novelty.effects import MUTATING, dotted, draws, is_aside, is_silent, root
from services.novelty.frames import stored_names
from services.novelty.program import FUNCTIONS, RECIPE, Unit, defined_names
from services.novelty.trees import nodes, walk

_HARMLESS = frozenset({"override", "final", "overload", "ignore", "unused", "export", "interface", "compile"})
"""Decorators, by their last name, that change nothing of what is computed."""

_CONSTANTS = (ast.Constant, ast.UnaryOp, ast.BinOp, ast.List, ast.Tuple, ast.Dict)
_PLAIN = frozenset({"Module", "object", "ABC", "Protocol", "Generic"})
_OPAQUE = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.AugAssign, ast.Delete, ast.Match)


class Definitions:
    """The statements that define or change each module-level name, in order."""

    def __init__(self, tree: ast.Module) -> None:
        self.of: dict[str, list[ast.stmt]] = defaultdict(list)
        self.effects: list[ast.stmt] = []
        body = [part for statement in taken(tree.body, truths(tree)) for part in _apart(statement)]
        meanings = imported(body)
        self.imports = {name: of[0] for name, of in meanings.items()}
        changing: list[ast.stmt] = []
        for statement in body:
            names = [] if isinstance(statement, (ast.Expr, *_OPAQUE)) else plain_names(statement)
            if not names:
                changing.append(statement)
                names = [*stored_names(statement)]
            for name in names:
                self.of[name].append(statement)
        self._order = {id(statement): place for place, statement in enumerate(body)}
        self._draws = any(draws(name) for s in body if not _is_definition(s) for name in _last_names(s))
        self._imports(body, meanings)
        self._changes(body, changing)

    def _imports(self, body: Sequence[ast.stmt], meanings: Mapping[str, Sequence[str]]) -> None:
        """Treat imported names that have another meaning elsewhere as defined by the file."""
        unclear = {name for name, of in meanings.items() if len(of) > 1 or name in self.of}
        for statement in body if unclear else ():
            for name in imported([statement]):
                if name in unclear:
                    self._attach(statement, {name})

    def _changes(self, body: Sequence[ast.stmt], changing: Sequence[ast.stmt]) -> None:
        for statement in changing:
            if not isinstance(statement, ast.Import | ast.ImportFrom):
                self._change(statement)
        for statement in body:
            if statement not in changing and isinstance(statement, ast.Assign | ast.AnnAssign):
                self._attach(statement, self._disturbed_by(_names(statement)))
            elif _is_definition(statement) and statement not in changing:
                self._attach(statement, self._disturbed_by_defining(statement))

    def _change(self, statement: ast.stmt) -> None:
        """Attach a statement to every name that it may change; one that mentions none of them acts on torch."""
        mentioned = _names(statement) & self.of.keys()
        self._attach(statement, self._aliased(mentioned) | self._disturbed_by(mentioned))
        others = mentioned - set(stored_names(statement))
        if _is_unpacking(statement):
            return
        if not others and (self._draws or not is_aside(statement)) and not is_silent(statement):
            self.effects.append(statement)

    def _attach(self, statement: ast.stmt, names: set[str]) -> None:
        for name in names:
            if statement not in self.of[name]:
                self.of[name].append(statement)

    def _aliased(self, names: set[str]) -> set[str]:
        """Return the names, and those that may be aliases of the same objects."""
        found, queue = set(names), deque(names)
        while queue:
            assigned = [s for s in self.of[queue.popleft()] if isinstance(s, ast.Assign | ast.AnnAssign)]
            more = {name for statement in assigned for name in _names(statement)} & self.of.keys() - found
            found |= more
            queue += more
        return found

    def _disturbed_by(self, names: set[str]) -> set[str]:
        """Find the names changed by the functions among these names, and by those that they call."""
        found, queue, seen = set[str](), deque(names & self.of.keys()), set[str]()
        while queue:
            name = queue.popleft()
            if name in seen:
                continue
            seen.add(name)
            functions = [s for s in self.of[name] if isinstance(s, (*FUNCTIONS, ast.ClassDef))]
            found |= {n for function in functions for n in _disturbed_with_defaults(function)} & self.of.keys()
            queue += {n for function in functions for n in _names(function)} & self.of.keys() - seen
        return found

    def _disturbed_by_defining(self, statement: ast.stmt) -> set[str]:
        """Find the names changed when a function or a class is defined: by its body, its bases, its decorators."""
        at_once = [node for part in read_at_once(statement) for node in walk(part)]
        names = {node.id for node in at_once if isinstance(node, ast.Name)}
        own = {n for part in read_at_once(statement) if isinstance(part, ast.stmt) for n in _disturbed(part)}
        return (own & self.of.keys()) | self._disturbed_by(names)

    def in_order(self, made: Iterable[ast.stmt]) -> list[ast.stmt]:
        """Sort statements in the order of the file, each once."""
        return sorted({id(s): s for s in made}.values(), key=lambda statement: self._order[id(statement)])

    def statements(self, name: str) -> list[ast.stmt]:
        """Return the statements of a name in the order of the file."""
        return self.in_order(self.of.get(name, ()))

    def is_class(self, name: str) -> bool:
        """Say whether a name is only ever that of a class."""
        return all(isinstance(statement, ast.ClassDef) for statement in self.of.get(name, [None]))

    def has_plain_bases(self, node: ast.ClassDef) -> bool:
        """Say whether all bases of a class, however far up, are `Module` or classes of the file."""
        names = [dotted(base)[-1] for base in node.bases]
        own = [name for name in names if name not in _PLAIN]
        above = [s for name in own if self.is_class(name) for s in self.of[name] if isinstance(s, ast.ClassDef)]
        return len(above) == len(own) and all(s is not node and self.has_plain_bases(s) for s in above)

    def roots(self) -> list[str]:
        """Return `Net`; without it every class with a `forward`; without those everything."""
        if "Net" in self.of:
            return ["Net"]
        modules = [name for name, of in self.of.items() if any(_has_forward(statement) for statement in of)]
        return modules or [name for name in self.of if name not in RECIPE]

    def constants(self, units: dict[str, Unit], mutated: Collection[str]) -> dict[str, ast.expr]:
        """Take out of the units the names that stand only for numbers, texts or imported things."""
        found: dict[str, ast.expr] = {}
        for name, unit in list(units.items()):
            value = getattr(unit.node, "value", None)
            if unit.statements or not isinstance(unit.node, ast.Assign | ast.AnnAssign) or value is None:
                continue
            if (name not in mutated and all(self._is_constant(n) for n in walk(value))) or self._is_elsewhere(value):
                found[name] = value
                del units[name]
        return found

    def _is_constant(self, node: ast.AST) -> bool:
        is_known = isinstance(node, ast.Name) and (node.id in self.of or node.id in self.imports)
        return (
            is_known or isinstance(node, _CONSTANTS) or (isinstance(node, ast.Attribute) and self._is_elsewhere(node))
        )

    def _is_elsewhere(self, node: ast.expr) -> bool:
        """Say whether an expression is another name for something imported."""
        return isinstance(node, ast.Attribute | ast.Name) and root(node) in self.imports


def _apart(statement: ast.stmt) -> list[ast.stmt]:
    """Return an assignment of several constants to as many names as one for each; another statement as it is."""
    match statement:
        case ast.Assign(targets=[ast.Tuple(elts=targets) | ast.List(elts=targets)], value=ast.Tuple(elts=values)):
            are_names = all(isinstance(target, ast.Name) for target in targets)
            if are_names and len(targets) == len(values) and all(isinstance(v, ast.Constant) for v in values):
                pairs = zip(targets, values, strict=True)
                return [ast.Assign([target], value, lineno=statement.lineno) for target, value in pairs]
    return [statement]


def _last_names(statement: ast.stmt) -> list[str]:
    calls = (node.func for node in nodes(statement) if isinstance(node, ast.Call))
    return [getattr(called, "attr", getattr(called, "id", "")) for called in calls]


def plain_names(statement: ast.stmt) -> list[str]:
    """Return the names that a definition or simple assignment defines; none if it does more than that."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [] if any(not is_harmless(d) for d in statement.decorator_list) else [statement.name]
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return [] if _does_more(statement) else [name]
    return []


def _is_unpacking(statement: ast.stmt) -> bool:
    """Say whether a statement only assigns to variables."""
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    only_names = not any(isinstance(n, ast.Attribute | ast.Subscript) for target in targets for n in walk(target))
    return bool(targets) and only_names and not _does_more(statement)


def _does_more(statement: ast.stmt) -> bool:
    """Say whether an assignment changes something besides its targets."""
    changing = {*MUTATING, "setattr", "delattr", "next"}
    return any(isinstance(n, ast.NamedExpr) for n in nodes(statement)) or bool(changing & set(_last_names(statement)))


def is_harmless(decorator: ast.expr) -> bool:
    """Say whether a decorator changes nothing of what is computed."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return getattr(called, "attr", getattr(called, "id", "")) in _HARMLESS


def _names(statement: ast.stmt) -> set[str]:
    return {node.id for node in nodes(statement) if isinstance(node, ast.Name)}


def _disturbed(statement: ast.stmt) -> Iterator[str]:
    """Yield names that a function or a class may change from within, its own included."""
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


def _disturbed_with_defaults(statement: ast.stmt) -> Iterator[str]:
    """Yield what a function may change, and what its parameters stand for by default, if it changes anything."""
    found = [*_disturbed(statement)]
    yield from found
    if found and isinstance(statement, FUNCTIONS):
        yield from (n.id for part in read_at_once(statement) for n in walk(part) if isinstance(n, ast.Name))


def _is_definition(statement: ast.stmt) -> bool:
    return isinstance(statement, (*FUNCTIONS, ast.ClassDef))


def read_at_once(node: ast.AST) -> list[ast.AST]:
    """List the parts of a definition that are executed with it, not when it is called."""
    if isinstance(node, FUNCTIONS):
        return [*node.decorator_list, *node.args.defaults, *(d for d in node.args.kw_defaults if d)]
    if not isinstance(node, ast.ClassDef):
        return [node]
    parts: list[ast.AST] = [*node.bases, *node.keywords, *node.decorator_list]
    for member in node.body:
        parts += read_at_once(member) if isinstance(member, FUNCTIONS) else [member]
    return parts


def _has_forward(statement: ast.stmt) -> bool:
    classes = (node for node in nodes(statement) if isinstance(node, ast.ClassDef))
    return any("forward" in defined_names(member) for node in classes for member in node.body)
