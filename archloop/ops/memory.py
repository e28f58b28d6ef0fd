"""Gives memory back that large temporary arrays, and clients that have gone, leave behind."""

import ctypes
import gc


def give_back() -> None:
    """Return freed memory to the system, where the C library can: glibc keeps it, several times what is in use.

    Objects that only reference each other are collected first.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
