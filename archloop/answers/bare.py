"""Python in an answer without a fence around it, told from prose by what each line begins with."""

import re
import textwrap
from collections.abc import Iterator, Sequence

from archloop.answers.block import Block, Language

_MODULE = r"[A-Za-z_][\w.]*(?:[ \t]+as[ \t]+\w+)?[ \t]*"
_IMPORT = rf"import[ \t]+{_MODULE}(?:,[ \t]*{_MODULE})*(?:[#;].*)?$|from[ \t]+[\w.]+[ \t]+import\b"
_DEFINITION = r"class[ \t]+\w+[ \t]*[(:]|(?:async[ \t]+)?def[ \t]+\w+[ \t]*\(|@[A-Za-z_]"
_LONG_STRING = r"[rRuUbBfF]{0,2}(?:\"{3}|'{3})"
_BLOCK = (
    r"(?:if|elif|for|while|with|except|match|async[ \t]+\w+)\b.*:[ \t]*(?:\#.*)?$|(?:else|try|finally|except)[ \t]*:"
)
_STATEMENT = r"(?:pass|break|continue)[ \t]*(?:[#;].*)?$|(?:assert|del|raise)[ \t]+[\w.]+[ \t]*(?:$|[=,(\[<>!])"
_ASSIGNMENT = r"[\w.]+(?:[ \t]*,[ \t]*[\w.]+|\[[^\]]*\])*[ \t]*(?::[^=]+)?(?://|\*\*|<<|>>|[-+*/@%&|^])?=(?!=)"
_START = re.compile(rf"{_IMPORT}|{_DEFINITION}|{_LONG_STRING}|\#(?!\#)")
_WITHIN = re.compile(rf"(?:(?<=[.:!?>\]][ \t])|(?<=[>\]]))(?:{_IMPORT})")
_CODE = re.compile(
    rf"$|[ \t]|{_IMPORT}|{_DEFINITION}|{_LONG_STRING}|{_BLOCK}|{_STATEMENT}|{_ASSIGNMENT}|[\w.]+[(\[]|[\])}}#]"
)
_HEADING = re.compile(r"(?:\#{2,}.*)?")
_INDENTATIONS = ("    ", "\t")
_QUOTES = re.compile(r"\"{3}|'{3}")


def blocks(lines: list[str]) -> Iterator[Block]:
    """Yield what reads as Python, each from a line that begins a program to the next prose. Lines have their ends."""
    number = 0
    while number < len(lines):
        body = lines[number].rstrip("\r\n")
        start = _START.match(body) or _WITHIN.search(body)
        if start is None:
            number += 1
            continue
        end = next(_prose(lines, number + 1, number), len(lines))
        first, rest = lines[number][start.start() :], lines[number + 1 : end]
        while rest and _HEADING.fullmatch(rest[-1].strip()):
            rest.pop()
        number = end
        yield Block("".join([first, *rest]), Language.UNTOLD)


def indented(lines: list[str]) -> Iterator[Block]:
    """Yield what reads as Python in paragraphs that are all indented: CommonMark's other block of code."""
    number = 0
    while number < len(lines):
        end = number
        while end < len(lines) and (lines[end].startswith(_INDENTATIONS) or not lines[end].strip()):
            end += 1
        yield from blocks(textwrap.dedent("".join(lines[number:end])).splitlines(keepends=True))
        number = end + 1


def without_prose(lines: list[str]) -> list[str]:
    """Return code up to its first paragraph of prose: what follows a fence that was never closed."""
    paragraphs = (n for n in _prose(lines) if n and not lines[n - 1].strip() and " " in lines[n].strip())
    return lines[: next(paragraphs, len(lines))]


def _prose(lines: Sequence[str], start: int = 0, strings_from: int = 0) -> Iterator[int]:
    """Yield the numbers of the lines from `start` on that are prose, and in no long string of the program before them.

    Args:
        lines: The answer's lines.
        start: The first line that may be prose.
        strings_from: Where the program begins, and so the search for long strings.

    """
    quote = ""
    for number in range(strings_from, len(lines)):
        if number >= start and not quote and not _CODE.match(lines[number].rstrip("\r\n")):
            yield number
        for mark in _QUOTES.findall(lines[number]):
            quote = "" if mark == quote else quote or mark
