"""One directory, one process: whoever writes into a run or a study holds its lock, which ends with the holder."""

import errno
import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from archloop.errors import Conflict, Unavailable

FILE = ".lock"
_NO_WRITING = {errno.EACCES, errno.EPERM, errno.EROFS}
_LARGEST = 4096


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Keep every other process out of a directory. The kernel lets go of it when this one ends, however it does.

    Raises Conflict that says who holds it, Unavailable where it cannot be locked; either way nothing was changed.
    """
    descriptor = _opened(directory)
    try:
        _take(descriptor, directory)
        _sign(descriptor, _holder())
        yield
    finally:
        os.close(descriptor)


def refuse_held(directory: Path) -> None:
    """Raise Conflict where another process holds the directory; nothing is made or kept."""
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        descriptor = os.open(directory / FILE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            _take(descriptor, directory)
        finally:
            os.close(descriptor)


def is_held(directory: Path) -> bool:
    """Return whether another process holds the directory."""
    try:
        refuse_held(directory)
    except Conflict:
        return True
    return False


def _opened(directory: Path) -> int:
    try:
        return os.open(directory / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        if error.errno not in _NO_WRITING:
            raise
        raise Unavailable(f"{directory} cannot be written to, and nothing was: {error.strerror}") from error


def _take(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Conflict(f"{directory} is in use by {_read(descriptor)}; nothing was changed") from None
    except OSError as error:
        raise Unavailable(
            f"{directory}: its file system has no locks ({error.strerror}); a run needs a disk of this machine"
        ) from error


def _sign(descriptor: int, holder: bytes) -> None:
    """Say who holds it for whoever comes second; a lock holds without that too, as on a full disk."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder, 0)


def _holder() -> bytes:
    since = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
    command = " ".join(("archloop", *sys.argv[1:]))
    signed = {"pid": os.getpid(), "host": socket.gethostname(), "since": since, "command": command[:500]}
    return json.dumps(signed).encode()


def _read(descriptor: int) -> str:
    try:
        found = json.loads(os.pread(descriptor, _LARGEST, 0))
        return f"process {found['pid']} on {found['host']} since {found['since']} ({found['command']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
