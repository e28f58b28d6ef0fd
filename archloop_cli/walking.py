"""Source files by the names that a user gives: files, pipes, and whatever Python files are in folders."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from archloop.errors import InvalidInput, NotFound

LARGEST = 16 * 1024**2
_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Found(NamedTuple):
    """A file and what it holds."""

    path: Path
    content: bytes


class Skipped(NamedTuple):
    """What is in a folder and cannot be read: `lost` if it may be a source, and so something is left undone."""

    path: Path
    why: str
    lost: bool


def read(path: Path) -> bytes:
    """Read a file or a pipe that was named. Raises NotFound, InvalidInput where it is too large, OSError."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise NotFound("file", str(path)) from None
    if len(content) > LARGEST:
        raise InvalidInput("FILE", str(path), f"at most {LARGEST // 1024**2} MiB")
    return content


def sources(paths: Iterable[Path]) -> Iterator[Found | Skipped]:
    """Read named files as they are given, and the `.py` files of folders in the order of their names.

    In a folder, what is no file is skipped, and what cannot be read stops nothing. Raises as `read` does for what was
    named, NotFound where a folder has nothing.
    """
    for path in paths:
        found = list(_below(path)) if path.is_dir() else [Found(path, read(path))]
        if not found:
            raise NotFound("*.py file", f"{path}{os.sep}*.py")
        yield from found


def _below(folder: Path) -> Iterator[Found | Skipped]:
    closed: list[OSError] = []
    files = [Path(at, name) for at, _, names in os.walk(folder, onerror=closed.append) for name in names]
    for error in closed:
        yield Skipped(Path(os.fsdecode(error.filename)), str(error.strerror), lost=True)
    for file in sorted(file for file in files if file.suffix == ".py"):
        yield _looked_at(file)


def _looked_at(file: Path) -> Found | Skipped:
    """Read it if it is a regular file; a pipe is not opened, for it would be waited for."""
    try:
        mode = file.stat().st_mode
        if not stat.S_ISREG(mode):
            return Skipped(file, next((name for test, name in _KINDS if test(mode)), "no file"), lost=False)
        return Found(file, read(file))
    except (FileNotFoundError, NotFound):
        return Skipped(file, "a link to nothing", lost=False)
    except InvalidInput as error:
        return Skipped(file, error.expected, lost=True)
    except OSError as error:
        return Skipped(file, str(error.strerror), lost=error.errno != errno.ELOOP)
