"""The changes that an answer asks for: search/replace blocks or a unified diff, among prose and in fences or not."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from archloop.answers import fences

SEARCH, DIVIDER, REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
_MARKER = re.compile(rf"^(?:{SEARCH}|{DIVIDER}|{REPLACE})[ \t]*$", re.MULTILINE)
_BEGIN = re.compile(rf"^{SEARCH}[ \t]*$", re.MULTILINE)
_HUNK = re.compile(r"^@@(?:[ \t]|$)", re.MULTILINE)
_MOST = 100

NOTHING = "no edit in the answer: neither a search/replace block nor a unified diff"
_CUT = "the edit is not closed: the answer was cut off"
_WITHIN = "block {} of the edit has the marker {!r} where code should be"
_TOO_MANY = f"the edit has more than {_MOST} blocks"


class Change(NamedTuple):
    """Whole lines to look for, and those to stand there instead; both end with a line feed unless they are empty."""

    search: str
    replace: str


class Patch(NamedTuple):
    """The changes, and what is wrong with their form ("" if nothing)."""

    changes: tuple[Change, ...] = ()
    problem: str = ""


def read(said: str) -> Patch:
    """Read what the model says. Line ends become line feeds."""
    text = lined(said)
    if _BEGIN.search(text):
        return _bounded(_blocks(text.split("\n")))
    fenced = fences.read(text)[0]
    if held := [block.code for block in fenced if _BEGIN.search(block.code)]:
        return _bounded(_blocks(line for code in held for line in code.split("\n")))
    diffs = [block for block in fenced if _HUNK.search(block.code)]
    if diffs and not diffs[-1].closed:
        return Patch(problem=_CUT)
    codes = [block.code for block in diffs] or [text]
    return _bounded(Patch(tuple(change for code in codes for change in _hunks(code.split("\n")))))


def has_marker(code: str) -> bool:
    """Say whether a line of the code is a marker of an edit, so that no edit could speak of it."""
    return _MARKER.search(code) is not None


def written(change: Change) -> str:
    """Write a change as the block that `read` reads."""
    return f"{SEARCH}\n{change.search}{DIVIDER}\n{change.replace}{REPLACE}\n"


def lined(text: str) -> str:
    """Return the text with line feeds as its only line ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _bounded(patch: Patch) -> Patch:
    if patch.problem:
        return patch
    if len(patch.changes) > _MOST:
        return Patch(problem=_TOO_MANY)
    return patch if patch.changes else Patch(problem=NOTHING)


def _blocks(lines: Iterable[str]) -> Patch:
    """Read search/replace blocks; what stands outside of them says nothing."""
    changes: list[Change] = []
    parts: list[list[str]] = []
    for line in lines:
        marker = line.rstrip(" \t") if _MARKER.match(line) else ""
        expected = (SEARCH, DIVIDER, REPLACE)[len(parts)]
        if not marker or (not parts and marker != SEARCH):
            if parts:
                parts[-1].append(line)
        elif marker != expected:
            return Patch(problem=_WITHIN.format(len(changes) + 1, marker))
        elif marker == REPLACE:
            changes.append(Change(*map(_joined, parts)))
            parts = []
        else:
            parts.append([])
    return Patch(problem=_CUT) if parts else Patch(tuple(changes))


def _hunks(lines: Iterable[str]) -> Iterator[Change]:
    """Read the hunks of a unified diff; their line numbers say nothing, as models do not count."""
    hunk: list[str] | None = None
    for line in lines:
        if _HUNK.match(line):
            if hunk is not None:
                yield _change(hunk)
            hunk = []
        elif hunk is not None and line[:1] in {"", " ", "+", "-"}:
            hunk.append(line or " ")
        elif hunk is not None and not line.startswith("\\"):
            yield _change(hunk)
            hunk = None
    if hunk is not None:
        yield _change(hunk)


def _change(hunk: list[str]) -> Change:
    while hunk and not hunk[-1].strip():
        hunk.pop()
    search, replace = ([line[1:] for line in hunk if line[0] in kept] for kept in (" -", " +"))
    return Change(_joined(search), _joined(replace))


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
