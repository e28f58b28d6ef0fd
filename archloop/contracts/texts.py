"""Texts as people and other systems may give them, none without a bound."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

_LONGEST_REMARK = 4000


def _said(text: str) -> str:
    """Return the text. Raises ValueError where it is blank or holds half a character, which UTF-8 cannot write down."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = text[error.start]
        raise ValueError(f"text of whole characters; {half!r} at place {error.start} is half of one") from None
    if not text.strip():
        raise ValueError("text that is not blank")
    return text


Said = Annotated[str, AfterValidator(_said)]


def _cut(text: object) -> object:
    """Shorten a text for people that is too long: it may come from anywhere, and is worth having in part."""
    if isinstance(text, str) and len(text) > _LONGEST_REMARK:
        return f"{text[: _LONGEST_REMARK - 1]}…"
    return text


Name = Annotated[str, Field(max_length=1024)]
Remark = Annotated[str, BeforeValidator(_cut), Field(max_length=_LONGEST_REMARK)]
# One line of words, numbers and code that closes no quotation, fence or tag and opens none: safe to stand in a prompt.
Quotable = Annotated[str, Field(pattern=r"^[A-Za-z0-9 ._,:;()'=+*/%-]*$", max_length=240)]
LongText = Annotated[str, Field(max_length=2**22)]
