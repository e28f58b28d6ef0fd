"""The fenced blocks of an answer: CommonMark's, and those whose fences are not quite right.

Lists and quotes are markdown-it's. Of the rest only fences matter: any other line is a paragraph of its own, so that
neither an indentation nor a tag of the model's own (`<answer>`) hides the fence after it.
"""

import re
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

from archloop.answers import bare, closing
from archloop.answers.block import Block, Language

_LINE_END = re.compile(r"\r\n|\r|\n")
# Characters of no width hide a fence from Markdown but not from whoever looks at it.
_INVISIBLE = re.compile(r"\A\ufeff|^[\u200b-\u200f\u2060\ufeff]+(?=[ \t]*(?:`{3}|~{3}))", re.MULTILINE)
_OPENING = re.compile(r"(?P<fence>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)")
# Every fence looks at what is left of the answer; no honest answer makes that many lines of it.
_MOST_LINES = 500_000
_CODE_BEHIND = re.compile(r"[ \t]*\w[\w.]*\s(?P<code>(?:import|from)[ \t]+\w.*)")


def read(text: str) -> tuple[list[Block], list[str]]:
    """Return all blocks in their order, and the lines that are in none. Line ends stay what they are."""
    ends = [*_LINE_END.findall(text), ""]
    plain = _INVISIBLE.sub("", _LINE_END.sub("\n", text))
    tokens = _MARKDOWN.parse(plain, {"ends": ends, "looked_at": 0})
    taken = {line for token in tokens if token.type == "fence" for line in range(*(token.map or (0, 0)))}
    lines = zip(plain.split("\n"), ends, strict=True)
    outside = [line + end for number, (line, end) in enumerate(lines) if number not in taken]
    return [_block(token) for token in tokens if token.type == "fence"], outside


def _block(token: Token) -> Block:
    language = Language.of(token.info)
    is_python = language in {Language.PYTHON, Language.UNTOLD}
    return Block(bare.without_name(token.content) if is_python else token.content, language, token.meta["closed"])


def _fence(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Apply CommonMark's rule with any indentation of the opening, and with `closing` to find the end."""
    opening = _OPENING.match(state.src, state.bMarks[start] + state.tShift[start], state.eMarks[start])
    if opening is None or silent or state.env["looked_at"] > _MOST_LINES:
        return opening is not None and silent
    state.env["looked_at"] += end - start
    info, code = _behind(opening["info"])
    begin, stop, indentation = start + 1 - len(code), _stop(state, start, end), state.sCount[start]
    lines = [*code, *_lines(state, start, stop, indentation)]
    found = closing.find(lines, opening["fence"], Language.of(info))
    shared = min(_indentations(state, start + 1, begin + len(found.lines)), default=0)
    if shared < indentation:
        lost = [len(line) - len(kept) for line, kept in zip(lines, found.lines, strict=False)]
        lines = [*code, *_lines(state, start, stop, shared)]
        found = found._replace(lines=[line[: len(line) - n] for line, n in zip(lines, lost, strict=False)])
    state.line = max(start + 1, begin + found.taken)
    token = state.push("fence", "code", 0)
    token.info, token.map, token.meta = info, [start, state.line], {"closed": found.closed}
    token.content = _content(found, state.env["ends"][begin:])
    return True


def _behind(info: str) -> tuple[str, list[str]]:
    """Split the info string from an import that stands on its line where code should begin on the next."""
    behind = _CODE_BEHIND.fullmatch(info)
    return (info[: behind.start("code")], [behind["code"]]) if behind else (info, [])


def _stop(state: StateBlock, start: int, end: int) -> int:
    """Return where the container ends.

    A container whose first line of code is already outside of it was not meant to hold it.
    """
    filled = [line for line in range(start + 1, end) if not state.isEmpty(line)]
    outside = [line for line in filled if state.sCount[line] < state.blkIndent]
    return end if not outside or outside[0] == filled[0] else outside[0]


def _lines(state: StateBlock, start: int, stop: int, indentation: int) -> list[str]:
    """Return what follows the fence; in a quote whose first lines have no space after `>`, one there is the code's."""
    numbers = range(start + 1, stop)
    first = next((line for line in numbers if not state.isEmpty(line)), start)
    tight = all(state.src.endswith(">", 0, state.bMarks[line]) for line in (start, first))
    back = [" " if tight and _has_space(state, line) else "" for line in numbers]
    return [space + state.getLines(n, n + 1, indentation, False) for n, space in zip(numbers, back, strict=True)]


def _has_space(state: StateBlock, line: int) -> bool:
    begin = state.bMarks[line]
    return not state.isEmpty(line) and state.src[max(0, begin - 2) : begin] == "> "


def _indentations(state: StateBlock, begin: int, stop: int) -> list[int]:
    return [state.sCount[line] for line in range(begin, stop) if not state.isEmpty(line)]


def _content(found: closing.Closing, ends: list[str]) -> str:
    """Join the lines with the ends that they had; one to which the fence is glued has one too."""
    body = [line + end for line, end in zip(found.lines, ends, strict=False)]
    if found.closed and found.taken == len(body) and not ends[len(body) - 1]:
        body[-1] += "\n"
    return "".join(body)


def _paragraph(state: StateBlock, start: int, _end: int, _silent: bool) -> bool:
    state.line = start + 1
    return True


def _markdown() -> MarkdownIt:
    parser = MarkdownIt("zero")
    parser.core.ruler.enableOnly(["block"])
    parser.enable(["list", "blockquote", "fence"])
    options: Any = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    parser.block.ruler.at("fence", _fence, options)
    parser.block.ruler.at("paragraph", _paragraph)
    return parser


_MARKDOWN = _markdown()
