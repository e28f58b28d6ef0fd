"""Texts as people and other systems may give them."""

from typing import Annotated

from pydantic import AfterValidator


def _said(text: str) -> str:
    """Raises ValueError for what cannot be written down, or says nothing."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = text[error.start]
        raise ValueError(f"text of whole characters; {half!r} at place {error.start} is half of one") from None
    if not text.strip():
        raise ValueError("text that is not blank")
    return text


Said = Annotated[str, AfterValidator(_said)]
