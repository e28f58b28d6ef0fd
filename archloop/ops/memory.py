"""Memory that large temporary arrays leave behind."""

import ctypes


def give_back() -> None:
    """Return freed memory to the system, where the C library can: glibc keeps it, several times what is in use."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
