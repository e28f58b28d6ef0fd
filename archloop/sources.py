"""Source code as bytes, and the text that Python reads in them: one reading wherever a program comes in.

A file is read as Python reads it: byte order mark, coding cookie (PEP 263), line ends. From there on a program is text,
carried as UTF-8, in which a cookie is a comment like any other.
"""

import codecs
from importlib.util import decode_source

from archloop.errors import ArchloopError

_WIDE = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_MARK = "\ufeff"


class UndecodableSource(ArchloopError):
    """Bytes that Python does not read as source code either."""

    code = "undecodable_source"

    def __init__(self, problem: str, content: bytes) -> None:
        super().__init__(problem)
        self.content = content


def of_file(content: bytes) -> str:
    """Read a source file's program, with line feeds only and no byte order mark. Raises UndecodableSource."""
    for mark, name in _WIDE.items():
        if content.startswith(mark):
            raise UndecodableSource(f"the file is {name}, which Python does not read; expected UTF-8", content)
    # Python looks for the cookie in lines, whatever ends them.
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        text = decode_source(lines)
    except (SyntaxError, LookupError, ValueError) as error:
        raise UndecodableSource(f"the file {_problem(lines, error)}", content) from error
    if text.startswith(_MARK):
        raise UndecodableSource("the file has two byte order marks; expected one at most", content)
    return text


def _problem(lines: bytes, error: Exception) -> str:
    """Say what is wrong and in which line; Python's own error does not, where a line before the cookie is at fault."""
    if isinstance(error, SyntaxError):
        try:
            lines.decode()
        except UnicodeDecodeError as undecodable:
            error = undecodable
    if not isinstance(error, UnicodeDecodeError):
        return f"cannot be read: {error}"
    line = lines.count(b"\n", 0, error.start) + 1
    return f"is not {error.encoding}: {error.reason} in line {line}; expected UTF-8, or the coding cookie of what it is"


def encoded(text: str) -> bytes:
    """Encode a program, or any text, as UTF-8: what `decoded` has read becomes the same bytes again.

    Other halves of characters become three bytes each, so that no text is without size and hash.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def decoded(content: bytes) -> str:
    """Decode a program that messages refer to; bytes that are no UTF-8 become lone surrogates, which do not parse."""
    return content.decode("utf-8", "surrogateescape")


def is_utf8(text: str) -> bool:
    """Say whether UTF-8 can write the text down: it holds no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def unmarked(text: str) -> str:
    """Return the text without a byte order mark at its beginning."""
    return text.removeprefix(_MARK)
