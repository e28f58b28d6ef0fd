"""W3C trace context, version 00: which trace a message belongs to, derived as its id is.

`tracestate` is not carried: nothing here is a vendor's.
"""

import re

from archloop.contracts.values import sha256_of

# Versions after 00 may have more fields behind the four; ff is none.
_FORM = re.compile(r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.{0,200})?")


def trace_id(traceparent: object) -> str | None:
    """Return the trace that a valid `traceparent` belongs to; None where it is not valid."""
    form = _FORM.fullmatch(traceparent) if isinstance(traceparent, str) else None
    return form[1] if form else None


def traceparent(message_id: str, cause: object = None) -> str:
    """Derive a message's `traceparent`: in the trace of its cause where that is valid, else in one of its own."""
    own = sha256_of(message_id)
    return f"00-{trace_id(cause) or own[:32]}-{own[32:48]}-01"
