"""What a process asks of the system: to end with its parent, to start soon, and to take memory back.

`python -m archloop.ops.process PID COMMAND…` becomes the command, a child of process PID, without our settings.
"""

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PR_SET_PDEATHSIG = 1


def die_with_parent(by: signal.Signals = signal.SIGKILL) -> None:
    """Ask the kernel (prctl(2)) to send this process a signal when the thread that forked it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, by)


@contextmanager
def loading() -> Iterator[None]:
    """Look for no garbage while libraries are read: all of it stays, and to look takes a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def give_back() -> None:
    """Return the memory that large arrays or clients that have gone leave behind: glibc keeps it, several times over.

    Objects that only reference each other are collected first.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def main() -> None:
    """Run the command so that it is asked to end (SIGTERM) when its parent does, and can end children of its own."""
    parent, *command = sys.argv[1:]
    die_with_parent(signal.SIGTERM)
    if os.getppid() != int(parent):
        return
    inherited = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - for the command; nothing is read
        if not name.startswith("ARCHLOOP_")
    }
    os.execvpe(command[0], command, inherited)  # noqa: S606


if __name__ == "__main__":
    main()
