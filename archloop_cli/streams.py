"""Standard output and standard error as the command needs them, however it was started."""

import io
import os
import sys
from contextlib import suppress
from typing import TextIO

_NULL = {0: os.O_WRONLY, 1: os.O_RDONLY, 2: os.O_WRONLY}


class _Raw(io.FileIO):
    """A standard stream. `gone`: nobody reads it any more. `lossy`: what cannot be written is dropped."""

    def __init__(self, descriptor: int, name: str, *, lossy: bool = False) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._name, self._lossy, self.gone = name, lossy, False

    def write(self, data: object, /) -> int:
        """Write; an error names the stream."""
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BrokenPipeError:
            self.gone = True
            raise
        except OSError as error:
            if self._lossy:
                return memoryview(data).nbytes  # type: ignore[arg-type]
            raise OSError(error.errno, error.strerror, self._name) from error


class Streams:
    """Takes the places of `sys.stdout` and `sys.stderr`, for the length of the process.

    Neither fails over a character that its encoding lacks. A descriptor that was closed is taken by `/dev/null`, so
    that no file of a run gets its number; writing to a standard output that was closed fails.
    """

    def __init__(self) -> None:
        _fill()
        self._out, self._err = _Raw(1, "standard output"), _Raw(2, "standard error", lossy=True)
        sys.stdout, sys.stderr = _text(self._out, sys.stdout), _text(self._err, sys.stderr, direct=True)

    @property
    def gone(self) -> bool:
        """Whether whoever read what is said has gone away."""
        return self._out.gone or self._err.gone

    def flush(self) -> None:
        """Write out what is printed. Raises OSError where that cannot be done."""
        sys.stdout.flush()

    def close(self) -> None:
        """Leave nothing to be written at the very end, where nobody would say what went wrong."""
        with suppress(OSError):
            sys.stdout.flush()
        null = os.open(os.devnull, os.O_WRONLY)
        for number in (1, 2):
            os.dup2(null, number)
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()


def _fill() -> None:
    """Open /dev/null for every standard descriptor that is closed: opening takes the lowest free number."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, _NULL[number])


def _text(raw: _Raw, before: TextIO | None, *, direct: bool = False) -> io.TextIOWrapper:
    encoding = getattr(before, "encoding", None) or "utf-8"
    with suppress(OSError, ValueError):
        if before is not None:
            before.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=raw.isatty(), write_through=direct
    )
