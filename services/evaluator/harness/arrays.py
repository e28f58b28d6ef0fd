"""The arrays that the parent shares, as the child sees them."""

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray


def mapped(fd: int, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The array behind `fd`; writing to it changes this process's own copy only."""
    memory = mmap.mmap(fd, 0, access=mmap.ACCESS_COPY)
    return np.frombuffer(memory, dtype=np.dtype(dtype)).reshape(shape)
