"""Where a block of code ends.

Python has no fence outside of strings and comments: the first one there ends the block, also one that is glued to the
last line of code, and none in a docstring does.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from archloop.answers import bare
from archloop.answers.block import Language

_SHORTEST = 3
_OTHER = {"`": "~", "~": "`"}
_TRIPLES = {
    '"""': re.compile(r'(?:[^"\\]|\\.|"(?!""))*+"""', re.DOTALL),
    "'''": re.compile(r"(?:[^'\\]|\\.|'(?!''))*+'''", re.DOTALL),
}
_PIECE = re.compile(
    r"""(?P<triple>"{3}|'{3})"""
    r"""|"(?:[^"\\\n]|\\[\s\S])*+"|'(?:[^'\\\n]|\\[\s\S])*+'"""
    r"""|"(?:[^"\\\n]|\\[^\n])*|'(?:[^'\\\n]|\\[^\n])*"""
    r"""|\#[^\n]*|(?P<run>`{3,}|~{3,})"""
)
# Behind a fence that closes nothing, the info string of the next block.
_INFO = re.compile(
    r"(?:[\w{.+#-]\S*|[ \t]+[a-z]\S*)[ \t]*$|[ \t]*i?py(?:thon)?[\w.]*(?:[ \t]|$)|[ \t]*\{", re.IGNORECASE
)
_CUT_SHORT = re.compile(r"[ \t]*(?:`{1,2}|~{1,2})[ \t]*")


class Closing(NamedTuple):
    """The lines of code, how many lines of the answer they and the closing fence take, and whether there was one."""

    lines: list[str]
    taken: int
    closed: bool = True


def find(lines: list[str], fence: str, language: Language) -> Closing:
    """Find the end of what this fence opened; by CommonMark's rule alone in other languages than Python."""
    if language is Language.MARKDOWN:
        return _nested(lines, fence) or _by_line(lines, fence) or Closing(lines, len(lines), closed=False)
    if language is Language.OTHER:
        return _by_line(lines, fence, before_python=True) or Closing(lines, len(lines), closed=False)
    return _of_python(lines, fence) or _behind_a_comment(lines, fence) or _unclosed(lines)


def _of_python(lines: list[str], fence: str) -> Closing | None:
    """Find a fence as long as the opening one, else a shorter one, else one of the other kind."""
    text, own = "\n".join(lines), fence[0]
    for marker, shortest in dict.fromkeys([(own, len(fence)), (own, _SHORTEST), (_OTHER[own], _SHORTEST)]):
        for run in _runs(text, marker, shortest):
            if found := _closing(lines, text, run):
                return found
    return None


def _runs(text: str, marker: str, shortest: int) -> Iterator[re.Match[str]]:
    """Yield runs of at least so many markers that are in no string and no comment."""
    position, endless = 0, set[str]()
    while piece := _PIECE.search(text, position):
        position = piece.end()
        quote = piece["triple"]
        if quote and quote not in endless:
            end = _TRIPLES[quote].match(text, position)
            if end is None:
                endless.add(quote)
            else:
                position = end.end()
        elif piece["run"] and piece["run"][0] == marker and len(piece["run"]) >= shortest:
            yield piece


def _closing(lines: list[str], text: str, run: re.Match[str]) -> Closing | None:
    """Return what this run ends, if anything. Tildes are operators too, unless nothing follows them."""
    number = text.count("\n", 0, run.start())
    begin, line = run.start() - text.rfind("\n", 0, run.start()) - 1, lines[number]
    before, after = line[:begin], line[begin + len(run[0]) :]
    if run[0][0] == "~" and after.strip():
        return None
    if before.strip():
        return Closing([*lines[:number], before.rstrip()], number + 1)
    if after.strip() and _INFO.match(after):
        return _unclosed(lines[:number])
    return Closing(lines[:number], number + 1)


def _by_line(lines: list[str], fence: str, *, before_python: bool = False) -> Closing | None:
    mark = re.compile(rf" {{0,3}}{fence}{fence[0]}*(?P<info>.*)")
    for number, line in enumerate(lines):
        info = found["info"] if (found := mark.fullmatch(line)) else None
        if info is not None and not info.strip():
            return Closing(lines[:number], number + 1)
        if info and before_python and Language.of(info) is Language.PYTHON:
            return Closing(lines[:number], number, closed=False)
    return None


def _nested(lines: list[str], fence: str) -> Closing | None:
    """Find the end of Markdown in Markdown, where each fence with an info string has an end of its own."""
    marks, depth = re.compile(rf" {{0,3}}{fence}{fence[0]}*(?P<info>.*)"), 0
    for number, line in enumerate(lines):
        if mark := marks.fullmatch(line):
            depth += 1 if mark["info"].strip() else -1
            if depth < 0:
                return Closing(lines[:number], number + 1)
    return None


def _behind_a_comment(lines: list[str], fence: str) -> Closing | None:
    glued = re.compile(rf"(?P<before>.*?[^{fence[0]}]){fence[0]}{{{_SHORTEST},}}[ \t]*")
    for number, line in enumerate(lines):
        if match := glued.fullmatch(line):
            return Closing([*lines[:number], match["before"].rstrip()], number + 1)
    return None


def _unclosed(lines: list[str]) -> Closing:
    """Take all lines but a fence that was cut off itself, and the prose after the code."""
    if lines and _CUT_SHORT.fullmatch(lines[-1]):
        return Closing(lines[:-1], len(lines), closed=False)
    lines = bare.without_prose(lines)
    return Closing(lines, len(lines), closed=False)
