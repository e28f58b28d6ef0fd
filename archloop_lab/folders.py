"""Folders that a command makes for what it writes."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from archloop.errors import InvalidInput


def folder(path: Path) -> Path:
    """Make the folder if it is not there. Raises NotADirectoryError where something else has its name."""
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    path.mkdir(parents=True, exist_ok=True)
    return path


def refuse_shared(path: Path) -> None:
    """Raise InvalidInput where the path, however it is spelt, is the root of all files or somebody's home."""
    found = path.resolve()
    if found in (Path(found.anchor), Path.home().resolve()):
        raise InvalidInput("--out", str(path), "a folder of its own")


@contextmanager
def begun(path: Path, *, unless: str) -> Iterator[Path]:
    """Make a folder for the block, and remove it if the block fails before the file `unless` is there.

    So are those above it that were made for it. A folder that was there before stays as it was.
    """
    above = [parent for parent in path.parents if not parent.exists()]
    folder(path.parent)
    try:
        path.mkdir()  # of two processes one makes it
        new = True
    except FileExistsError:
        new = not folder(path)
    try:
        yield path
    except BaseException:
        if new and not (path / unless).exists():
            shutil.rmtree(path, ignore_errors=True)
            with suppress(OSError):  # by now others may be in it
                for parent in above:
                    parent.rmdir()
        raise
