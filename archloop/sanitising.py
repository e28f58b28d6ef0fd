"""Text from outside, made fit to be read: no character of it is obeyed by a terminal, hidden, or turns others round."""

import re
import unicodedata

_KEPT = ("\n", "\t")
_BYTES = range(0xDC80, 0xDD00)  # how Python carries bytes that are no UTF-8


def plain(text: object) -> str:
    """Return the text as one line, with line ends, control and bidi characters and bytes that are no UTF-8 escaped."""
    given = str(text)
    return given if given.isprintable() else "".join(map(_shown, given))


def plain_lines(text: object) -> str:
    """Return the text as `plain` does, but with its line feeds and tabs."""
    return "".join(part if part in _KEPT else plain(part) for part in re.split("([\n\t])", str(text)))


def _shown(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":  # a space of any width
        return character
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if code in _BYTES else character.encode("unicode_escape").decode()
