"""A grammar under which a model server decodes an edit, so that it applies whatever the LLM would have written.

Blocks look for lines that stand in the parent once, one block behind the other, and a short one changes what it finds.
The syntax is that of Lark, with llguidance's `&` and `~` between terminals, which model servers have for structured
output. The parent is hostile text: its lines stand in the grammar as JSON.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from archloop.answers import patches

_MOST_LINES = 350  # llguidance follows 2,000 rules at a time, and five are of a line
_LONGEST = 20  # more lines than this say which place is meant in no code that anybody edits
_CHANGED = 3  # a run of so many lines more than identify it, or longer, may also be replaced by itself
_HEAD = """\
SEARCH: {}
DIVIDER: {}
REPLACE: {}
ANY: /(([^<=>\\n][^\\n]*)?\\n)*/
start: from0
"""


class _Parent(NamedTuple):
    """The lines, the terminal that each is, and how many from each on stand nowhere else; None where all do."""

    lines: Sequence[str]
    names: Sequence[str]
    shortest: Sequence[int | None]


def grammar(parent: str) -> str | None:
    """Return the grammar of edits of a parent, as `edits.prepared` makes it.

    There is None for one that is too long, and for one whose lines all stand there more than once. No line of a
    replacement begins with a character of a marker, and no line of Python does.
    """
    lines = parent.split("\n")[:-1]
    shortest = _shortest(lines) if len(lines) <= _MOST_LINES else []
    if not any(shortest):
        return None
    distinct = {line: f"L{number}" for number, line in enumerate(dict.fromkeys(lines))}
    head = _HEAD.format(*map(_text, (patches.SEARCH, patches.DIVIDER, patches.REPLACE)))
    terminals = "".join(f"{name}: {_text(line)}\n" for line, name in distinct.items())
    read = _Parent(lines, [distinct[line] for line in lines], shortest)
    return head + terminals + "".join(f"{rule}\n" for at in range(len(lines) + 1) for rule in _rules(read, at))


def _text(line: str) -> str:
    """Write a line as the grammar does, with its line feed."""
    return json.dumps(f"{line}\n")


def _rules(parent: _Parent, at: int) -> Iterator[str]:
    """Yield the rules of one line: `from`, a block from here on; `more`, a block that has found all above it."""
    ended = at == len(parent.lines)
    found = None if ended else parent.shortest[at]
    begins = [f"SEARCH run{at}"] if found else []
    begins += [f"from{at + 1}"] if any(parent.shortest[at + 1 :]) else []
    yield f"more{at}: DIVIDER ANY REPLACE then{at}" + ("" if ended else f" | {parent.names[at]} more{at + 1}")
    yield f'then{at}: ""' + (f" | from{at}" if begins else "")
    if begins:
        yield f"from{at}: {' | '.join(begins)}"
    if found:
        yield from _runs(parent, at, found)


def _runs(parent: _Parent, at: int, shortest: int) -> Iterator[str]:
    """Yield the rules of a run that begins at this line, and of what may stand in its place."""
    ways = list[str]()
    for stop in range(at + shortest, min(at + shortest + _CHANGED, len(parent.lines) + 1)):
        run = " ".join(parent.names[at:stop])
        yield f"NOT{at}_{stop}: ANY & ~({run})"
        ways.append(f"{run} DIVIDER NOT{at}_{stop} REPLACE then{stop}")
    if (stop := at + shortest + _CHANGED) <= len(parent.lines):
        ways.append(f"{' '.join(parent.names[at:stop])} more{stop}")
    yield f"run{at}: {' | '.join(ways)}"


def _shortest(lines: Sequence[str]) -> list[int | None]:
    """Return how many lines from each on say which place is meant, blank ones alone never; None for too many."""
    found: list[int | None] = [None] * len(lines)
    searched = set(range(len(lines)))
    for length in range(1, _LONGEST + 1):
        runs = {at: tuple(lines[at : at + length]) for at in searched if at + length <= len(lines)}
        times = Counter(tuple(lines[at : at + length]) for at in range(len(lines) - length + 1))
        fit = {at for at, run in runs.items() if times[run] == 1 and "".join(run).strip()}
        for at in fit:
            found[at] = length
        searched = runs.keys() - fit
    return found
