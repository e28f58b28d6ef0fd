"""The form of an LLM's answer: how one is written to be trained on, and how the code is found in one that comes back.

Which block of an answer is its program, and how much of it, is told in docs/reference/answers.md.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from archloop.answers import bare, choice, fences, quoted, thoughts
from archloop.answers.block import Block, Language

_NO_BLOCK = "no fenced code block in the answer"
_BARE = f"{_NO_BLOCK}: its lines of Python are taken"
_CUT = "the code block is not closed: the answer was cut off"
THINKING = "the answer was cut off before its thinking ended"
_MOST_BLOCKS = 100
_END_OF_TURN = re.compile(
    r"(?:<\|(?:im_end|eot_id|eom_id|endoftext|end_of_text|end_of_turn|end|eot|eos|return)\|>"
    r"|<｜end▁of▁sentence｜>|</s>|<(?:eos|end_of_turn)>)\s*+",
    re.IGNORECASE,
)
_ANY_NET = re.compile(r"^class Net\s*\(.*\btorch\b|\btorch\b.*^class Net\s*\(", re.MULTILINE | re.DOTALL)


class Extracted(NamedTuple):
    """The code as the LLM wrote it, and what was wrong with the form of its answer ("" if nothing)."""

    code: str
    problem: str = ""


def render(code: str) -> str:
    """Return the completion that carries this code."""
    marks = fence(code)
    return f"{marks}python\n{code.rstrip()}\n{marks}\n"


def fence(code: str) -> str:
    """Return the fence that no line of the code closes: it is longer than any in it."""
    return "`" * max(3, 1 + max(map(len, re.findall("`{3,}", code)), default=0))


def spoken(answer: str) -> tuple[str, bool]:
    """Return what the model says, without its thoughts and the tokens that end its turn, and whether thoughts ended."""
    return thoughts.without(_without_end_of_turn(answer))


def extract(answer: str) -> Extracted:
    """Find the code in an answer, unrepaired: the last complete block that defines `Net`, after those that it needs."""
    said, ended = spoken(answer)
    blocks, outside = fences.read(said)
    python = [block for block in blocks if block.language in {Language.PYTHON, Language.UNTOLD}][-_MOST_BLOCKS:]
    if found := choice.program(python):
        return Extracted(found.code, "" if found.closed else _CUT)
    unfenced = (quoted.blocks, bare.blocks, bare.indented)
    for others, problem in ((list(_hidden(blocks)), ""), *((list(read(outside)), _BARE) for read in unfenced)):
        if found := choice.program([*python, *others]):
            return Extracted(found.code, problem if found.closed else _CUT)
    if found := choice.last(python):
        return Extracted(found.code, "" if found.closed else _CUT)
    return Extracted("", _NO_BLOCK if ended else THINKING)


def _without_end_of_turn(answer: str) -> str:
    """Leave out the tokens that end a turn, where a server shows them: they are not what the model says."""
    begin = end = len(answer) + 1
    for token in _END_OF_TURN.finditer(answer):
        begin = begin if token.start() == end else token.start()
        end = token.end()
    return answer[:begin] if end == len(answer) else answer


def _hidden(blocks: list[Block]) -> Iterator[Block]:
    """Yield blocks within one of Markdown, and those of a wrong language that define a class `Net` of torch."""
    for block in blocks:
        if block.language is Language.MARKDOWN:
            yield from fences.read(block.code)[0]
        elif block.language is Language.OTHER and _ANY_NET.search(block.code):
            yield block
