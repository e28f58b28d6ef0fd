"""Numbers as people read them; what is not known is shown as that."""

UNKNOWN = "–"


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
    """Write seconds as minutes and seconds."""
    if seconds is None:
        return UNKNOWN
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
