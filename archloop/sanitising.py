"""Text from outside, made fit to be read: no character of it is obeyed by a terminal, hidden, or turns others round."""

import re
import unicodedata

_LIKE = str.maketrans({"[": "(", "{": "(", "]": ")", "}": ")", '"': "'", "`": "'", "\\": "/"})
_NOT_QUOTABLE = re.compile(r"[^A-Za-z0-9 ._,:;()'=+*/%-]+")
_RULES = re.compile(r"([^A-Za-z0-9_ ()])\1+|(__)_+")  # what sets blocks of text apart when it is repeated
_ROLES = re.compile(r"\b(system|assistant|user|human|developer|tool|instructions?|response)\s*:[\s:]*", re.IGNORECASE)
_KEPT = ("\n", "\t")
_BYTES = range(0xDC80, 0xDD00)  # how Python carries bytes that are no UTF-8


def plain(text: object) -> str:
    """Return the text as one line, with line ends, control and bidi characters and bytes that are no UTF-8 escaped."""
    given = str(text)
    return given if given.isprintable() else "".join(map(_shown, given))


def plain_lines(text: object) -> str:
    """Return the text as `plain` does, but with its line feeds and tabs."""
    return "".join(part if part in _KEPT else plain(part) for part in re.split("([\n\t])", str(text)))


def quotable(text: str, most: int = 120) -> str:
    """Return the beginning of the text as one line that is safe between quotation marks in a prompt.

    It is of the characters of `archloop.contracts.texts.Quotable`: no fence, tag, heading, rule, role or special token
    of a language model is left whole.
    """
    line = _NOT_QUOTABLE.sub(" ", text[: 8 * most].translate(_LIKE))
    line = _ROLES.sub(r"\1 ", _RULES.sub(r"\1\2", line))
    return " ".join(line.split())[:most].rstrip()


def _shown(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":  # a space of any width
        return character
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if code in _BYTES else character.encode("unicode_escape").decode()
