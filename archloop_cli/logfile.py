"""The log of an embedded run: a file that never stands in the way of what it tells of."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO, cast

from archloop.ops import logging


class _Lines:
    """Enough of a text stream for structlog. A line that cannot be written, as on a full disk, is dropped."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        self._cut = False

    def write(self, text: str) -> int:
        """Write at once, for the process may be killed."""
        if self._descriptor is None:
            return len(text)
        content = (b"\n" if self._cut else b"") + text.encode("utf-8", "backslashreplace")
        with suppress(OSError):
            self._cut = os.write(self._descriptor, content) < len(content)
        return len(text)

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def close(self) -> None:
        """Let go of the file, so that a logger that outlives the run writes to no other one that gets its number."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Log to the end of this file within the block, and to standard error again after it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    lines = _Lines(descriptor)
    logging.configure(stream=cast("TextIO", lines))
    try:
        yield
    finally:
        quiet()
        lines.close()


def quiet() -> None:
    """Log warnings only, for people, on standard error."""
    logging.configure(level="WARNING", json=False)
