"""A program as instructions: each step once, referring to earlier steps by their distance.

Names do not occur, and it does not matter whether an expression is written in one line or in several. A step is written
when something needs it, so the order of independent lines does not matter either.
"""

from collections.abc import Callable, Sequence
from typing import Any

Value = "str | int | Node"
"""A token, an integer, or the result of a step."""


class Node:
    """One step: its tokens and what it is computed from.

    `at` is its number once it is written. `portable` says that it depends on nothing that can change: it may be written
    later. `is_cell`: its value changes. `is_applied`: a layer that was written as what it does. `items` are elements
    of a list that can still grow; `layer` says what a list, or a layer of torch's, was made of.
    """

    __slots__ = ("at", "home", "is_applied", "is_cell", "items", "layer", "parts", "portable")

    def __init__(self, parts: "Sequence[str | int | Node]", home: "Stream") -> None:
        self.parts, self.home = parts, home
        self.at = -1
        self.portable = self.is_cell = self.is_applied = False
        self.items: list[str | int | Node] | None = None
        self.layer: tuple[str, Any] | None = None


class Stream:
    """Instructions in the order in which they are written: one stream for the program, one for each nested body."""

    def __init__(self, spelt: Callable[[int], str]) -> None:
        self.tokens: list[str | Node] = []
        self.count = 0
        self.is_portable = True
        self._spelt = spelt
        self._pending: list[Node] = []

    def add(self, node: Node) -> None:
        """Register a step, to be written when it is needed or by the next `flush`."""
        self._pending.append(node)
        self.is_portable = self.is_portable and node.portable

    def forget(self, value: "str | int | Node") -> None:
        """Drop a step that is not needed after all, if it was registered just now."""
        if isinstance(value, Node) and value in self._pending[-2:]:
            self._pending.remove(value)

    def flush(self, *, portable: bool = False) -> None:
        """Write pending steps in order of computation; portable ones only if `portable` is set."""
        if not self._pending:
            return
        waiting, self._pending = self._pending, []
        for node in waiting:
            if node.at < 0:
                if node.portable and not portable:
                    self._pending.append(node)
                else:
                    self.write(node)

    def write(self, root: Node) -> None:
        """Write a step after the steps that it is computed from."""
        stack = [root]
        while stack:
            node = stack[-1]
            if node.at < 0:
                if not self.mark(*node.parts):
                    missing = [p for p in node.parts if type(p) is Node and p.at < 0 and p.home is self]
                    # What is called comes after what it is called with: a layer stands where it is applied.
                    stack += [missing[0], *missing[:0:-1]] if missing[0] is node.parts[0] else missing[::-1]
                    continue
                node.at = self.count
                self.count += 1
            stack.pop()

    def mark(self, *parts: "str | int | Node") -> bool:
        """Write tokens; return False, and write nothing, if a step among them is not written yet."""
        here, tokens = self.count, list[str | Node]()
        for part in parts:
            if type(part) is str:
                tokens.append(part)
            elif type(part) is int:
                tokens.append(self._spelt(part))
            elif part.home is not self:  # type: ignore[union-attr]
                tokens += ("^^", part)  # type: ignore[arg-type]
            elif part.at < 0:  # type: ignore[union-attr]
                return False
            else:
                tokens.append(f"^{here - part.at}")  # type: ignore[union-attr]
        self.tokens += tokens
        return True
