"""The one form of an LLM's answer: a fenced Python block. Trained on and generated in exactly this form."""

import re
from typing import NamedTuple

_OPEN = "```python\n"
_CLOSE = "```"
_FENCE = re.compile(
    r"^```[ \t]*(?:python3?|py)?[ \t]*\r?\n(.*?)(?:^```[ \t]*\r?$|\Z)", re.MULTILINE | re.DOTALL | re.IGNORECASE
)


class Extracted(NamedTuple):
    """The code as the LLM wrote it, and what was wrong with the form of its answer ("" if nothing)."""

    code: str
    problem: str = ""


def render(code: str) -> str:
    """The completion that carries this code."""
    return f"{_OPEN}{code.rstrip()}\n{_CLOSE}\n"


def extract(answer: str) -> Extracted:
    """The code in an answer, never repaired: of several blocks the first that defines `Net`, else the first."""
    blocks = list(_FENCE.finditer(answer))
    if not blocks:
        return Extracted("", "no fenced code block in the answer")
    chosen = next((b for b in blocks if re.search(r"^class Net\b", b[1], re.MULTILINE)), blocks[0])
    closed = chosen[0].rstrip().endswith(_CLOSE) and chosen.end() > chosen.end(1)
    return Extracted(chosen[1], "" if closed else "the code block is not closed: the answer was cut off")
