"""W3C trace context, version 00: which trace a message belongs to, derived as its id is.

`tracestate` is not carried: nothing here is a vendor's.
"""

import re
from typing import NamedTuple, Self

from archloop.contracts.values import sha256_of

# Versions after 00 may have more fields behind the four; ff is none.
_FORM = re.compile(
    r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.{0,200})?"
)


class Place(NamedTuple):
    """Where in which trace somebody stands, in hexadecimal digits."""

    trace_id: str
    span_id: str

    @classmethod
    def read(cls, traceparent: object) -> Self | None:
        """Return the place that a valid `traceparent` names; None where it is not valid."""
        form = _FORM.fullmatch(traceparent) if isinstance(traceparent, str) else None
        return cls(form[1], form[2]) if form else None

    @classmethod
    def of(cls, message_id: str) -> Self:
        """Derive a message's place in a trace that begins with it."""
        own = sha256_of(message_id)
        return cls(own[:32], own[32:48])


def trace_id(traceparent: object) -> str | None:
    """Return the trace that a valid `traceparent` belongs to; None where it is not valid."""
    place = Place.read(traceparent)
    return place.trace_id if place else None


def traceparent(message_id: str, cause: object = None, root: str | None = None) -> str:
    """Derive a message's `traceparent`.

    It is in the trace that begins with the message `root` where there is one, else in that of its cause where that is
    valid, else in one of its own.
    """
    own = Place.of(message_id)
    trace = Place.of(root).trace_id if root else trace_id(cause) or own.trace_id
    return f"00-{trace}-{own.span_id}-01"
