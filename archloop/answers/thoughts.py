"""What a model writes between tags before it answers: no part of its answer, drafts included."""

import re
from collections.abc import Sequence

_WORDS = r"(?:seed:)?think|thinking|thoughts?|reason|reasoning|scratchpad|reflection|analysis"
# XML, Magistral's brackets, Kimi's triangles, Sky-T1's markers.
_OPEN = rf"<(?:{_WORDS})>|\[THINK\]|◁think▷|<\|begin_of_thought\|>"
_CLOSE = rf"</(?:{_WORDS})>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>"
_MARK = re.compile(
    rf"(?<![^\r\n])[ \t>]*"
    rf"(?:(?P<fence>`{{3,}}|~{{3,}})(?P<info>(?:(?!{_CLOSE})[^\r\n])*)|(?P<begin>{_OPEN})|(?P<end>{_CLOSE}))"
    rf"|(?P<close>{_CLOSE})",
    re.IGNORECASE,
)
Mark = re.Match[str]


def without(answer: str) -> tuple[str, bool]:
    """Return the answer without its thoughts, and whether the last of them ended.

    An opening tag counts at the beginning of a line, and none does in a complete block of code. A closing one without
    an opening one ends a thought that the prompt had begun.
    """
    marks = list(_MARK.finditer(answer))
    kept, position, number, hopeless = "", 0, 0, dict[str, int]()
    while number < len(marks):
        mark, number = marks[number], number + 1
        if mark["fence"]:
            number = _behind_block(marks, number, hopeless)
        elif mark["end"] or mark["close"]:
            kept, position = "", mark.end()
        elif mark["begin"]:
            kept += answer[position : mark.start()]
            number = _behind_thought(marks, number)
            if not number:
                return kept, False
            position = marks[number - 1].end()
    return kept + answer[position:], True


def _behind_thought(marks: Sequence[Mark], start: int) -> int:
    """Return the index after the tag that closes as many as were opened, else after the last to close; 0 for none."""
    depth, behind = 1, 0
    for number in range(start, len(marks)):
        mark = marks[number]
        if mark["begin"]:
            depth += 1
        elif not mark["fence"]:
            depth, behind = depth - 1, number + 1
        if not depth:
            break
    return behind


def _behind_block(marks: Sequence[Mark], start: int, hopeless: dict[str, int]) -> int:
    """Return the index after the fence that closes the one before `start`.

    It is `start` where a thought that began before the fence ends earlier.
    """
    fence = marks[start - 1]["fence"]
    if start < hopeless.get(fence[0], 0):
        return start
    depth = 0
    for number in range(start, len(marks)):
        mark = marks[number]
        depth += bool(mark["begin"]) - bool(mark["end"])
        if depth < 0:
            hopeless[fence[0]] = number
            return start
        if (mark["fence"] or "").startswith(fence) and not mark["info"].strip():
            return number + 1
    hopeless[fence[0]] = len(marks)
    return start
