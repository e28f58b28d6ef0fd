"""Python between triple quotes that stand where a fence was meant: `'''python`, the code, `'''`.

To Python they are a long string, in which nothing runs. They count as fences only where no `Net` is outside of them.
"""

import re
from collections.abc import Iterator, Sequence

from archloop.answers import bare
from archloop.answers.block import WORD, Block, Language

_OPENING = re.compile(rf"(?P<indent>[ \t]*)(?P<mark>'{{3}}|\"{{3}})[ \t]*(?:{WORD})?[ \t]*", re.IGNORECASE)
_MARKS = re.compile(r"\"{3}|'{3}")


def blocks(lines: list[str]) -> Iterator[Block]:
    """Yield what stands between such fences, if that is all of the answer's networks. Lines have their ends."""
    found, outside, number, quote = list[Block](), list[str](), 0, ""
    while number < len(lines):
        opening = None if quote else _OPENING.fullmatch(lines[number].rstrip("\r\n"))
        if opening is None or not bare.reads_as_python("".join(lines[number + 1 : number + 4])):
            outside.append(lines[number])
            quote = _still_open(quote, lines[number])
            number += 1
            continue
        end = _end(lines, number + 1, opening["indent"] + opening["mark"])
        program, closed = lines[number + 1 : end], end < len(lines)
        found.append(Block("".join(program if closed else bare.without_prose(program)), Language.UNTOLD, closed))
        number = end + 1
    if not Block("".join(outside), Language.UNTOLD).defines_net:
        yield from found


def _end(lines: Sequence[str], start: int, fence: str) -> int:
    """Return the number of the line that closes: the fence alone, in no string of the program."""
    quote = ""
    for number in range(start, len(lines)):
        if not quote and lines[number].rstrip() == fence:
            return number
        quote = _still_open(quote, lines[number])
    return len(lines)


def _still_open(quote: str, line: str) -> str:
    """Return the mark of the long string that is open after a line, given that before it; empty if none is."""
    for mark in _MARKS.findall(line):
        quote = "" if mark == quote else quote or mark
    return quote
