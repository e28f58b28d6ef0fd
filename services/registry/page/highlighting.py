"""A candidate's code in lines of coloured words, and two codes side by side. It is read as text, never run."""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

from pygments.lexers.python import PythonLexer
from pygments.token import STANDARD_TYPES, _TokenType

_LINE = re.compile(r"\(line ([0-9]{1,6})\)$")
_MOST = 200_000  # characters that are coloured or compared; what is longer is shown plain
Kind = Literal["same", "changed", "removed", "added"]


class Word(NamedTuple):
    """A piece of a line, and the class of its colour."""

    kind: str
    text: str


class Line(NamedTuple):
    """A line of code, and the error that was raised at it."""

    number: int
    words: Sequence[Word]
    error: str = ""


class Row(NamedTuple):
    """A line on the left, one on the right, and how they differ; a side without one is null."""

    kind: Kind
    left: Line | None
    right: Line | None


def lines(code: str, error: str = "") -> list[Line]:
    """Split code into lines; the error stands at the line that it names."""
    found = _LINE.search(error)
    at = int(found[1]) if found else 0
    return [Line(n, words, error if n == at else "") for n, words in enumerate(_coloured(code), 1)]


def _coloured(code: str) -> Iterator[list[Word]]:
    if len(code) > _MOST:
        yield from ([Word("", line)] for line in code.splitlines())
        return
    line: list[Word] = []
    for kind, text in PythonLexer(stripnl=False, ensurenl=False).get_tokens(code):
        first, *others = text.split("\n")
        line += [Word(_class(kind), first)] if first else []
        for other in others:
            yield line
            line = [Word(_class(kind), other)] if other else []
    if line:
        yield line


def _class(kind: _TokenType) -> str:
    while kind not in STANDARD_TYPES and kind.parent is not None:
        kind = kind.parent
    return STANDARD_TYPES.get(kind, "")


def side_by_side(left: str, right: str) -> list[Row]:
    """Set two codes beside each other, line by line."""
    these, those = lines(left), lines(right)
    match = SequenceMatcher(None, [_text(line) for line in these], [_text(line) for line in those], autojunk=False)
    rows: list[Row] = []
    for tag, start, stop, other_start, other_stop in match.get_opcodes():
        rows += _rows(tag == "equal", these[start:stop], those[other_start:other_stop])
    return rows


def _rows(same: bool, left: Sequence[Line], right: Sequence[Line]) -> Iterator[Row]:
    for place in range(max(len(left), len(right))):
        one = left[place] if place < len(left) else None
        other = right[place] if place < len(right) else None
        kind: Kind = "same" if same else "removed" if other is None else "added" if one is None else "changed"
        yield Row(kind, one, other)


def _text(line: Line) -> str:
    return "".join(word.text for word in line.words)
