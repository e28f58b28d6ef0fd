"""Arrays in sealed memory files: written once by the parent, read by the children (harness/arrays.py)."""

import fcntl
import os
import threading
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@dataclass(frozen=True)
class SharedArray:
    """Read-only array behind a descriptor; nobody can change it any more, not even the parent."""

    fd: int
    dtype: str
    shape: tuple[int, ...]
    _closed: threading.Event = field(default_factory=threading.Event, compare=False)

    @classmethod
    def of(cls, array: NDArray[Any]) -> Self:
        """Copy `array` into a sealed memory file."""
        return cls(sealed(np.ascontiguousarray(array).data.cast("B"), "array"), array.dtype.str, array.shape)

    def close(self) -> None:
        """Close the descriptor; calling it again does nothing."""
        if not self._closed.is_set():
            self._closed.set()
            os.close(self.fd)


def sealed(content: bytes | memoryview, name: str) -> int:
    """Return the descriptor of a memory file that holds `content` for good (memfd_create(2))."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd
