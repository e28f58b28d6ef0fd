"""A block of code in an answer, and what its fence says of it."""

import re
from enum import Enum, auto
from typing import NamedTuple, Self

_PYTHON = re.compile(r"(?<![a-z])(?:i?python|py|pytorch|torch)(?![a-z])", re.IGNORECASE)
WORD = r"(?:i?python|py|pytorch|torch)[\d.]*"
"""How Python is called where its name stands by itself."""

_MARKDOWN = frozenset({"markdown", "md", "mdx", "rmd", "qmd"})
_NOTHING = frozenset({"", "text", "txt", "plain", "plaintext", "code", "none"})
_METHODS = re.compile(r"^[ \t]+(?:async[ \t]+)?def[ \t]+(forward|train_setup|learn)\b", re.MULTILINE)
_NET = re.compile(
    r"^[ \t]*(?:class[ \t]+Net[ \t]*(?:[(:\[\\]|$)|def[ \t]+Net\b|Net[ \t]*(?::[^=\n]+)?=(?!=))", re.MULTILINE
)


class Language(Enum):
    """What the info string of a fence says: nothing, Python, Markdown, or something else."""

    UNTOLD = auto()
    PYTHON = auto()
    MARKDOWN = auto()
    OTHER = auto()

    @classmethod
    def of(cls, info: str) -> Self:
        """Read the first word, or all that stands in braces: `py`, `python3.11`, `{.python #id}`, `python:net.py`."""
        first, *_ = (*info.lower().split(), "")
        braces = first.startswith("{")
        if _PYTHON.search(info if braces else first):
            return cls.PYTHON
        if first in _MARKDOWN:
            return cls.MARKDOWN
        return cls.UNTOLD if braces or first in _NOTHING else cls.OTHER


class Block(NamedTuple):
    """Code, its language, and whether the answer closed it."""

    code: str
    language: Language
    closed: bool = True

    @property
    def defines_net(self) -> bool:
        """Whether it gives the name `Net` a meaning of its own."""
        return _NET.search(self._lines) is not None

    @property
    def methods(self) -> frozenset[str]:
        """The contract's methods that it defines."""
        return frozenset(_METHODS.findall(self._lines))

    @property
    def _lines(self) -> str:
        return self.code.replace("\r", "\n")
