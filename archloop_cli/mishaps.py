"""What is said of an error that ends the command, and with which exit code. What is not listed here is a bug."""

import os
import platform
import signal
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import typer

from archloop import __version__
from archloop.errors import ArchloopError

FAILED, USAGE, BUG = 1, 2, 70
_BUG = "bug"
_SIGNALLED = 128  # and the number of the signal, as shells count
_OURS = ("archloop", "archloop_cli", "archloop_lab", "services")
# typer has carried its own copy of click since 0.26, and used click's before.
UsageError = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


class Mishap(NamedTuple):
    """How the command ends: its exit code, a stable word, one line, and advice below it."""

    exit_code: int
    word: str
    line: str
    notes: Sequence[str] = ()


def told(error: BaseException) -> Mishap:
    """Say what there is to say of any error; the trace of a bug is written to a file first."""
    error = _only(error)
    word, line = _word(error)
    notes = tuple(getattr(error, "__notes__", ()))
    return Mishap(FAILED, word, line, notes) if word != _BUG else Mishap(BUG, word, line, (*notes, _kept(error)))


def _word(error: BaseException) -> tuple[str, str]:
    match error:
        case ArchloopError():
            found = error.code, str(error)
        case UnicodeError():
            found = "encoding", _encoding(error)
        case ModuleNotFoundError() if (error.name or "").partition(".")[0] not in _OURS:
            found = "missing", f"{error.name} is not installed: pip install 'archloop[cli]'"
        case MemoryError():
            found = "memory", "there is not enough memory"
        case OSError():
            found = "system", _system(error)
        case sqlite3.Error():
            found = "database", str(error)
        case _:
            found = _BUG, f"{type(error).__name__}: {error}"
    return found


def usage(error: BaseException) -> Mishap:
    """Say what is wrong with a command line; nothing where no command was given, for the help was shown."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "archloop"
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    return Mishap(USAGE, "usage", message and f"{message.rstrip('.')}; `{command} --help` says what there is")


def interrupted(error: BaseException, number: signal.Signals) -> Mishap:
    """Say by which signal the command ended, and how to go on if whoever can has added that as a note."""
    return Mishap(_SIGNALLED + number, "interrupted", f"ended by {number.name}", getattr(error, "__notes__", ()))


def trace(error: BaseException) -> str:
    """Format the traceback of an error, with those of its causes."""
    return "".join(traceback.format_exception(error))


def _only(error: BaseException) -> BaseException:
    """Take the error out of a group that holds one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _encoding(error: UnicodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.object[error.start]:#04x} at place {error.start} is not valid {error.encoding.upper()}"
    return str(error)


def _system(error: OSError) -> str:
    what = error.strerror or str(error) or type(error).__name__
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    if names:
        return f"{' -> '.join(names)}: {what}"
    return what if _is_somewhere() else f"the working directory is gone: {what}"


def _is_somewhere() -> bool:
    try:
        return bool(os.getcwd())  # noqa: PTH109 - Path.cwd would be looked up anew
    except OSError:
        return False


def _kept(error: BaseException) -> str:
    """Write the trace to a file, and say where it is."""
    about = f"archloop {__version__}, Python {platform.python_version()}, {platform.platform()}\n{sys.argv!r}\n\n"
    try:
        descriptor, name = tempfile.mkstemp(prefix="archloop-", suffix=".trace")
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123
            file.write(about + trace(error))
    except OSError as why:
        return f"this is a bug of Archloop; its trace cannot be written ({why}): `archloop --debug …` shows it"
    return f"this is a bug of Archloop: please report it, with its trace, which is in {Path(name)}"
