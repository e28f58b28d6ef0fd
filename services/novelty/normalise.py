"""Source to the canonical tokens of its architecture.

What counts: layers, operators, structure, what is computed from what, and sizes. What does not: formatting, comments,
docstrings, annotations, the training recipe, definitions that `Net` never reaches, and how anything that the program
itself names is spelt; see the table in docs/reference/novelty.md. Code that cannot be followed counts as written.
"""

import ast
from collections.abc import Sequence

from services.novelty.constants import Sizes
from services.novelty.definitions import Definitions, is_plain
from services.novelty.frames import Frame
from services.novelty.instructions import Node
from services.novelty.program import FUNCTIONS, Program, Unit
from services.novelty.reach import read
from services.novelty.trees import children

VERSION = 2


def normalise(source: str, sizes: Sizes = "kept") -> tuple[str, ...]:
    """Canonical tokens; `sizes`: as they are, rounded to powers of two, or all alike. Raises UnreadableSource."""
    return tokens(read(source), sizes)


def tokens(program: Program, sizes: Sizes = "kept") -> tuple[str, ...]:
    """Canonical tokens of a program that has been read; all of its text where it is too deep, or reads itself."""
    if program.facts.reflective:
        return as_written(program.tree)
    try:
        return _Writer(program, sizes).written()
    except RecursionError:
        return as_written(program.tree)


def as_written(tree: ast.AST) -> tuple[str, ...]:
    """Every node and every name, in order of the text."""
    found: list[str] = []
    stack = [tree]
    while stack:
        node = stack.pop()
        below = children(node)
        bare = (repr(value) for _, value in ast.iter_fields(node) if not isinstance(value, ast.AST | list))
        found += [type(node).__name__, *bare, str(len(below))]
        stack += reversed(below)
    return tuple(found)


class _Writer(Definitions):
    """Writes definition after definition, in the order in which they are first mentioned."""

    def written(self) -> tuple[str, ...]:
        done: set[int] = set()
        for name, unit in self.program.units.items():
            if unit.statements:
                self._group(unit, done)
            elif name not in self.named:
                self._unit(unit)
        self.stream.flush(portable=True)
        return tuple(token for token in self.stream.tokens if isinstance(token, str))

    def _group(self, unit: Unit, done: set[int]) -> None:
        """All statements that make a name what it is, each once."""
        self.frame = Frame(module=True)
        self.plain_base = self.inline_fields = False
        self.mark(f"{unit.token}:")
        self.block([statement for statement in unit.statements if id(statement) not in done])
        done.update(map(id, unit.statements))

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
        self.inline_fields = self.plain_base and unit.token not in self._bases
        self.methods = {m.name: m for m in unit.members if isinstance(m, FUNCTIONS)}
        late = [m for m in unit.members if isinstance(m, FUNCTIONS) and self.method_once(m.name) is not None]
        for member in [*(m for m in unit.members if m not in late), *late]:
            if not isinstance(member, FUNCTIONS) or member.name not in self.named:
                self.member(member)
        self._unused()
        self.named -= self.methods.keys()

    def _unused(self) -> None:
        """Attributes that nothing reads are part of the network all the same: they may have parameters."""
        for value in self.frame.fields.values():
            if isinstance(value, Node) and value.at < 0 and id(value) not in self.applied_layers:
                self.mark("unused", value)

    @property
    def _bases(self) -> Sequence[str]:
        classes = (unit.node for unit in self.program.units.values() if isinstance(unit.node, ast.ClassDef))
        names = (getattr(base, "id", "") for node in classes for base in node.bases)
        return [self.program.units[name].token for name in names if name in self.program.units]
