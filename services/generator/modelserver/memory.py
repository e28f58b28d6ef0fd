"""Memory that the C library holds for nothing."""

import ctypes


def give_back() -> None:
    """Return free memory to the machine, where the C library can: what reading a model took is as large as itself."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
