"""Python in an answer without a fence around it, told from prose by what each line begins with."""

import re
import textwrap
from collections.abc import Iterator, Sequence

from archloop.answers.block import WORD, Block, Language

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
_WITHIN = re.compile(rf"(?:(?<=[.:!?>\]][ \t])|(?<=[>\]])|(?<=`)(?=[^`]*$))(?:{_IMPORT})")
_TICKS = re.compile(rf"(?<!`)(?P<ticks>`{{1,2}})(?:{WORD})?[ \t]*$", re.IGNORECASE)
_NAMED = re.compile(
    rf"(?:[ \t]*[\r\n]+)*[ \t]*{WORD}[ \t]*:?[ \t]*[\r\n]+(?:Copy(?: code)?[ \t]*[\r\n]+)?", re.IGNORECASE
)
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
        before = lines[number][: start.start()] or "".join(lines[max(0, number - 1) : number])
        program = [lines[number][start.start() :], *lines[number + 1 : end]]
        while len(program) > 1 and _HEADING.fullmatch(program[-1].strip()):
            program.pop()
        if opening := _TICKS.search(before.rstrip("\r\n")):
            program[-1] = _without_ticks(program[-1], opening["ticks"])
        number = end
        yield Block("".join(program), Language.UNTOLD)


def indented(lines: list[str]) -> Iterator[Block]:
    """Yield what reads as Python in paragraphs that are all indented: CommonMark's other block of code."""
    number = 0
    while number < len(lines):
        end = number
        while end < len(lines) and (lines[end].startswith(_INDENTATIONS) or not lines[end].strip()):
            end += 1
        yield from blocks(textwrap.dedent("".join(lines[number:end])).splitlines(keepends=True))
        number = end + 1


def reads_as_python(text: str) -> bool:
    """Say whether the first line that is not empty begins a program."""
    return any(_START.match(line) is not None for line in text.lstrip().splitlines()[:1])


def without_name(code: str) -> str:
    """Leave out the name of the language where it is the first line of a program: none could run with it."""
    named = _NAMED.match(code)
    return code[named.end() :] if named and reads_as_python(code[named.end() :]) else code


def _without_ticks(line: str, ticks: str) -> str:
    body = line.rstrip()
    return body.removesuffix(ticks) + (line[len(body) :] or "\n") if body.endswith(ticks) else line


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
        is_continued = number > start and lines[number - 1].rstrip("\r\n").endswith("\\")
        if number >= start and not (quote or is_continued or _CODE.match(lines[number].rstrip("\r\n"))):
            yield number
        for mark in _QUOTES.findall(lines[number]):
            quote = "" if mark == quote else quote or mark
