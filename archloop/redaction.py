"""What may be told of a URL that holds a password, or would if it were right."""

import re

_PLAIN = re.compile(r"[\w.-]+(?::\d+)?(?:/[\w.-]*)?")


def place_of(url: str) -> str:
    """Return where a URL leads, if that is plain to see however garbled it is; never its user and password."""
    _, found, place = url.rpartition("@")
    if not found:
        _, found, place = url.partition("://")
    return repr(place) if found and _PLAIN.fullmatch(place) else "its value, which is not shown,"
