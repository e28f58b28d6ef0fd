"""The errors that Archloop raises on purpose, under one root.

A subclass says two things to whoever catches it: `code`, a stable word for logs and APIs, and
`retryable`, whether the same call may succeed later. What a *candidate* did is never an error:
it is an `Outcome`.
"""

from typing import ClassVar


class ArchloopError(Exception):
    """Root of all deliberate errors."""

    code: ClassVar[str] = "archloop_error"
    retryable: ClassVar[bool] = False


class InvalidInput(ArchloopError):
    """Input that cannot be right whenever it is tried: names the field, the value, what would be right."""

    code = "invalid_input"

    def __init__(self, field: str, value: object, expected: str) -> None:
        super().__init__(f"{field}: {_short(value)} is not valid; expected {expected}")
        self.field, self.value, self.expected = field, value, expected


class NotFound(ArchloopError):
    """Nothing has the name that was asked for."""

    code = "not_found"

    def __init__(self, kind: str, name: str, known: str = "") -> None:
        super().__init__(f"no {kind} named {name!r}" + (f"; there is {known}" if known else ""))
        self.kind, self.name = kind, name


class Conflict(ArchloopError):
    """The name is taken by something different."""

    code = "conflict"


class IntegrityError(ArchloopError):
    """Bytes that are not what their hash says."""

    code = "integrity"


class Unavailable(ArchloopError):
    """A server, disk or process that should be there is not, for now."""

    code = "unavailable"
    retryable = True


class Stuck(Unavailable):
    """A server answers a new connection at once, but not this process over those that it has."""


class Misconfigured(ArchloopError):
    """A server refuses us as we are set up, whenever it is asked: names the setting, never a secret's value."""

    code = "misconfigured"

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting


class SandboxUnavailable(ArchloopError):
    """The isolation that the settings require cannot be had on this machine."""

    code = "sandbox_unavailable"


def _short(value: object, limit: int = 120) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python writes out no integer of thousands of digits
        text = f"a {type(value).__name__} too large to show"
    return text if len(text) <= limit else text[: limit - 1] + "…"
