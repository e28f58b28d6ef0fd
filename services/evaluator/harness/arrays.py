"""Arrays that the parent shares, mapped into the child."""

import ctypes
import mmap
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_FAILED = ctypes.c_void_p(-1).value


def mapped(fd: int, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Map the array behind `fd`; writing to it changes this process's own copy only.

    Python's own `mmap` would keep a copy of the descriptor. Its position and flags belong to everybody who has it,
    other candidates among them, so none may be left once the memory is mapped.
    """
    kind = np.dtype(dtype)
    size = kind.itemsize * prod(shape)
    access, how = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE
    address: int = _libc.mmap(None, ctypes.c_size_t(size), access, how, fd, ctypes.c_size_t(0))
    if address == _FAILED:
        raise OSError(ctypes.get_errno(), "mmap of a shared array")
    memory = memoryview((ctypes.c_char * size).from_address(address)).cast("B")
    return np.frombuffer(memory, kind).reshape(shape)
