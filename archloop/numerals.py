"""Numbers as people read them; what is not known is shown as that."""

from itertools import pairwise

UNKNOWN = "–"
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def number(value: float | None, digits: int = 3) -> str:
    """Write a fixed number of digits, or the sign for unknown."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """Write a share as a percentage."""
    return UNKNOWN if value is None else f"{100 * value:.1f} %"


def count(value: float | None) -> str:
    """Write a whole number, with thin spaces between thousands."""
    return UNKNOWN if value is None else f"{value:,.0f}".replace(",", "\u2009")


def duration(seconds: float | None) -> str:
    """Write seconds in the two units that tell most: seconds, minutes, hours or days."""
    if seconds is None:
        return UNKNOWN
    if seconds < 10:
        return f"{seconds:.1f} s"
    for (whole, name), (part, smaller) in pairwise(_UNITS):
        if round(seconds) >= whole:
            count, rest = divmod(round(seconds / part) * part, whole)
            return f"{count} {name} {rest // part} {smaller}"
    return f"{round(seconds)} s"
