"""An LLM's answer: one form that is trained on, and the code in whatever form comes back.

Which block of an answer is its program, and how much of it, is told in docs/reference/answers.md.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from archloop.prompting import bare, choice, fences, thoughts
from archloop.prompting.block import Block, Language

_NO_BLOCK = "no fenced code block in the answer"
_BARE = f"{_NO_BLOCK}: its lines of Python are taken"
_CUT = "the code block is not closed: the answer was cut off"
_THINKING = "the answer was cut off before its thinking ended"
_MOST_BLOCKS = 100
_ANY_NET = re.compile(r"^class Net\s*\(.*\btorch\b|\btorch\b.*^class Net\s*\(", re.MULTILINE | re.DOTALL)


class Extracted(NamedTuple):
    """The code as the LLM wrote it, and what was wrong with the form of its answer ("" if nothing)."""

    code: str
    problem: str = ""


def render(code: str) -> str:
    """The completion that carries this code."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`{3,}", code)), default=0))
    return f"{fence}python\n{code.rstrip()}\n{fence}\n"


def extract(answer: str) -> Extracted:
    """The code in an answer, never repaired: the last complete block that defines `Net`, behind those that it needs."""
    said, ended = thoughts.without(answer)
    blocks, outside = fences.read(said)
    python = [block for block in blocks if block.language in {Language.PYTHON, Language.UNTOLD}][-_MOST_BLOCKS:]
    if found := choice.program(python):
        return Extracted(found.code, "" if found.closed else _CUT)
    for others, problem in ((list(_hidden(blocks)), ""), (list(bare.blocks(outside)), _BARE)):
        if found := choice.program([*python, *others]):
            return Extracted(found.code, problem if found.closed else _CUT)
    if found := choice.last(python):
        return Extracted(found.code, "" if found.closed else _CUT)
    return Extracted("", _NO_BLOCK if ended else _THINKING)


def _hidden(blocks: list[Block]) -> Iterator[Block]:
    """Blocks within one of Markdown, and those whose language is wrong: a class `Net` of torch is Python."""
    for block in blocks:
        if block.language is Language.MARKDOWN:
            yield from fences.read(block.code)[0]
        elif block.language is Language.OTHER and _ANY_NET.search(block.code):
            yield block
