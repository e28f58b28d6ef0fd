"""An answer that edits a parent: applied to it strictly, and written to be trained on.

Which edits apply is told in docs/reference/answers.md. Parent and answer are as hostile as any code.
"""

import re
from itertools import pairwise
from typing import NamedTuple

from archloop import answers, sanitising, sources
from archloop.answers import differences, patches
from archloop.answers.patches import Change
from archloop.errors import InvalidInput

LONGEST = 32_768
"""So many characters may a parent have."""

_MOST_LINES = 2_000
_PARENT = re.compile(r"^(?P<fence>`{3,})python\n(?P<code>.*)^(?P=fence)$", re.MULTILINE | re.DOTALL)
_SHOWN = 60
# What a tokenizer could take for the end of a turn, though it stands in the parent.
_TURN = re.compile(r"<\||<｜|</?s>|<(?:eos|bos|pad)>|<(?:start|end)_of_turn>|\[/?INST\]", re.IGNORECASE)


class _Place(NamedTuple):
    """Where in the parent a change goes."""

    start: int
    end: int
    replace: str


def prepared(code: str) -> str:
    """Return a parent as it is shown and edited: line feeds only, one at the end, no byte order mark."""
    text = patches.lined(sources.unmarked(code))
    return text if text.endswith("\n") else f"{text}\n"


def unusable(code: str, longest: int = LONGEST) -> str:
    """Say why the code is no parent; "" where it may be one."""
    if not code.strip():
        return "there is no code"
    if len(code) > min(longest, LONGEST):
        return f"it has {len(code):,} characters, more than {min(longest, LONGEST):,}"
    if code.count("\n") + code.count("\r") >= _MOST_LINES:
        return f"it has more than {_MOST_LINES:,} lines"
    if not sources.is_utf8(code) or "\0" in code:
        return "it holds characters that no prompt can show"
    if patches.has_marker(patches.lined(code)):
        return "it holds a marker of edits"
    return "it holds what may end a turn" if _TURN.search(code) else ""


def apply(parent: str, answer: str) -> answers.Extracted:
    """Return the parent after the edit in the answer, or no code and the reason why it does not apply."""
    if reason := unusable(parent):
        return answers.Extracted("", f"the parent cannot be edited: {reason}")
    said, ended = answers.spoken(answer)
    if not ended:
        return answers.Extracted("", answers.THINKING)
    patch = patches.read(said)
    return answers.Extracted("", patch.problem) if patch.problem else _applied(prepared(parent), patch.changes)


def render(parent: str, child: str) -> str:
    """Return the completion that makes the child of the parent, with as few lines as are needed to find each place.

    Raises:
        InvalidInput: No edit can: one of them holds markers, is too long or blank, or both are equal.

    """
    for name, code in (("parent", parent), ("child", child)):
        if reason := unusable(code):
            raise InvalidInput(name, f"{code[:_SHOWN]}…", f"code to edit, but {reason}")
    before, after = prepared(parent), prepared(child)
    if before == after:
        raise InvalidInput("child", f"{child[:_SHOWN]}…", "other code than the parent's")
    return "".join(map(patches.written, differences.between(before, after)))


def taught(prompt: str, completion: str) -> str:
    """Return the network that a training pair teaches: the code of its completion, or what its edit makes."""
    if not completion.startswith(patches.SEARCH):
        return answers.extract(completion).code
    shown = _PARENT.search(prompt)
    return apply(shown["code"], completion).code if shown else ""


def _applied(parent: str, changes: tuple[Change, ...]) -> answers.Extracted:
    places: list[_Place] = []
    for number, change in enumerate(changes, 1):
        if problem := _misplaced(parent, change.search):
            return answers.Extracted("", f"block {number} of the edit {problem}")
        start = differences.find(parent, change.search)
        places.append(_Place(start, start + len(change.search), change.replace))
    places.sort()
    for one, other in pairwise(places):
        if other.start < one.end:
            return answers.Extracted("", "two blocks of the edit overlap")
    return _replaced(parent, places)


def _misplaced(parent: str, search: str) -> str:
    """Say why the lines do not stand in the parent exactly once; "" if they do."""
    if not search.strip():
        return "looks for nothing: SEARCH is empty"
    first = next(line for line in search.split("\n") if line.strip())
    shown = sanitising.plain(first.strip()[:_SHOWN])
    start = differences.find(parent, search)
    if start < 0:
        return f"does not apply: its lines, '{shown}' first, are not in the parent"
    if differences.find(parent, search, start + 1) >= 0:
        return f"does not apply: its lines, '{shown}' first, are in the parent more than once"
    return ""


def _replaced(parent: str, places: list[_Place]) -> answers.Extracted:
    pieces, position = list[str](), 0
    for place in places:
        pieces += [parent[position : place.start], place.replace]
        position = place.end
    child = "".join([*pieces, parent[position:]])
    return answers.Extracted("", "the edit changes nothing") if child == parent else answers.Extracted(child)
