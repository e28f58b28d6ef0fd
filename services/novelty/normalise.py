"""Normalisation: from a source to the canonical tokens of its architecture.

What counts: layers, operators, structure, what is computed from what, and sizes. What does not: formatting, comments,
docstrings, annotations, the training recipe, definitions that `Net` never reaches, and how anything that the program
itself names is spelt; see the table in docs/reference/novelty.md. Code that cannot be followed counts as written.
"""

import ast
from collections.abc import Iterator
from functools import cached_property

from services.novelty.constants import Sizes
from services.novelty.definitions import Definitions, is_plain
from services.novelty.frames import Frame
from services.novelty.instructions import Node
from services.novelty.program import FUNCTIONS, Program, Unit, defined_names
from services.novelty.reach import read

VERSION = 4


def normalise(source: str, sizes: Sizes = "kept") -> tuple[str, ...]:
    """Return canonical tokens; sizes as they are, rounded to powers of two, or all alike. Raises UnreadableSource."""
    return tokens(read(source), sizes)


def tokens(program: Program, sizes: Sizes = "kept") -> tuple[str, ...]:
    """Return the canonical tokens of a program; all of it as written if it is too deep, or inspects itself."""
    if program.facts.reflective:
        return as_written(program.tree)
    try:
        return _Writer(program, sizes).written()
    except RecursionError:
        return as_written(program.tree)


def as_written(tree: ast.AST) -> tuple[str, ...]:
    """List every node and every name, operators and annotations too, in order of the text."""
    found: list[str] = []
    stack = [tree]
    while stack:
        node = stack.pop()
        below: list[ast.AST] = []
        listed: list[str] = []
        found.append(type(node).__name__)
        for name in node._fields:
            value = getattr(node, name, _MISSING)
            if type(value) is list:
                for part in value:
                    if isinstance(part, ast.AST):
                        below.append(part)
                    else:
                        listed.append(repr(part))
            elif not isinstance(value, ast.AST):
                found.append(repr(value))
            elif not isinstance(value, ast.expr_context):
                below.append(value)
        found += listed
        found.append(str(len(below)))
        stack += reversed(below)
    return tuple(found)


_MISSING = ast.Load()  # stands for a field that is not there, and counts no more than a context


class _Writer(Definitions):
    """Writes definition after definition, in the order in which they are first mentioned."""

    def written(self) -> tuple[str, ...]:
        self._class_constants()
        for name, unit in self.program.units.items():
            if not unit.statements and name not in self.named:
                self._unit(unit)
        self._ordered()
        self.stream.flush(portable=True)
        return tuple([token for token in self.stream.tokens if type(token) is str])

    def _ordered(self) -> None:
        """Write the definitions that are more than one plain statement, in the order of the file."""
        self.frame = Frame(module=True)
        self.plain_base = self.inline_fields = False
        self.block(self.program.ordered)

    def _class_constants(self) -> None:
        """Collect class attributes that are constants and assigned nowhere else."""
        facts = self.facts
        for unit in self.program.units.values():
            is_settled = isinstance(unit.node, ast.ClassDef) and not unit.statements and unit.token not in self._bases
            for member in unit.members if is_settled and is_plain(unit.node) else []:  # type: ignore[arg-type]
                match member:
                    case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant() as value):
                        is_read_elsewhere = name in facts.foreign or facts.is_spelt_out(name)
                        if not facts.stores[name] and not is_read_elsewhere:
                            self.class_constants[unit.token, name] = value

    def _unit(self, unit: Unit) -> None:
        self.frame, self.methods = Frame(module=True), {}
        self.plain_base = self.inline_fields = False
        if isinstance(unit.node, ast.ClassDef):
            self._class(unit, unit.node)
        elif isinstance(unit.node, FUNCTIONS):
            self.mark(f"{unit.token}:", "def", *[self.put(p) for p in self.signature(unit.node)])
            self.frame = Frame()
            self.function(unit.node)
        elif isinstance(unit.node, ast.Assign | ast.AnnAssign) and unit.node.value is not None:
            self.mark(f"{unit.token}:", self.put(self.value(unit.node.value)))
        else:
            self.mark(f"{unit.token}:")
            self.block(unit.node.body if isinstance(unit.node, ast.Module) else [])

    def _class(self, unit: Unit, node: ast.ClassDef) -> None:
        bases = [self.put(self.value(base)) for base in (*node.bases, *node.keywords)]
        self.mark(f"{unit.token}:", "class", *bases)
        self.plain_base = is_plain(node)
        self.inline_fields = self.plain_base and unit.token not in self._bases and not self.program.facts.arranged
        self.methods = {m.name: m for m in unit.members if isinstance(m, FUNCTIONS)}
        self.owner = unit.token
        constants = [(name, value) for (of, name), value in self.class_constants.items() if of == unit.token]
        self.frame.values |= {name: self.of_module(value) for name, value in constants}
        self.members(self._in_order(unit))
        self._unused()
        self.named -= self.methods.keys()
        self.owner = ""

    def _in_order(self, unit: Unit) -> Iterator[ast.stmt]:
        """Yield statements as written, then methods, last those that are read in place unless they have been.

        If a name is defined twice, everything is yielded as written.
        """
        names = [name for member in unit.members for name in defined_names(member)]
        as_written = sorted(unit.members, key=lambda member: member.lineno)
        if len(names) > len(set(names)):
            self.methods = {}
            yield from as_written
            return
        yield from (m for m in as_written if not isinstance(m, FUNCTIONS) and not self._is_constant(unit, m))
        methods = [m for m in unit.members if isinstance(m, FUNCTIONS)]
        once = [m for m in methods if self.method_once(m.name) is not None]
        yield from (m for m in methods if m not in once)
        yield from (m for m in once if m.name not in self.named)

    def _is_constant(self, unit: Unit, member: ast.stmt) -> bool:
        return any((unit.token, name) in self.class_constants for name in defined_names(member))

    def _unused(self) -> None:
        """Write the attributes that nothing reads: they may have parameters, so they are part of the network."""
        for value in self.frame.fields.values():
            if isinstance(value, Node) and value.at < 0 and not value.is_applied:
                self.mark("unused", value)

    @cached_property
    def _bases(self) -> frozenset[str]:
        """Return the tokens of classes that others are derived from."""
        classes = (unit.node for unit in self.program.units.values() if isinstance(unit.node, ast.ClassDef))
        names = (getattr(base, "id", "") for node in classes for base in node.bases)
        return frozenset(self.program.units[name].token for name in names if name in self.program.units)
