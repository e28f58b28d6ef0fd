"""What went wrong with a candidate, as the harness reports it to the parent."""

import errno
import traceback
from collections.abc import Iterator
from pathlib import PurePath

FILENAME = "candidate.py"
PACKAGES = frozenset({"torch", "numpy", "typing_extensions", "networkx", "sympy"})
ALLOWED_IMPORTS = f"only of {', '.join(sorted(PACKAGES))} and Python's standard library"
_PROCESSES = frozenset({"multiprocessing", "subprocess", "_posixsubprocess", "pty"})
_REFUSED = (errno.EPERM, errno.EACCES, errno.EROFS)
_NO_MEMORY = (
    "can't allocate memory",
    "bad_alloc",
    "CUDA out of memory",
    "std::length_error",
    "Storage size calculation overflowed",
)


class Flaw(Exception):
    """Failure of a candidate whose outcome is known; `outcome` is a value of the contracts' enum."""

    def __init__(self, outcome: str, detail: str) -> None:
        super().__init__(detail)
        self.outcome, self.detail = outcome, detail


def flaw_of(error: BaseException, otherwise: str) -> Flaw:
    """Return the flaw behind an exception.

    Lack of memory, refusals and missing packages have outcomes of their own; for anything else it is `otherwise`.
    """
    if isinstance(error, Flaw):
        return error
    outcome = next((word for cause in _causes(error) if (word := _word(cause))), otherwise)
    if _of_processes(error):
        return Flaw("forbidden", f"{named(error)}: candidates may not start processes{_where(error)}")
    if any(isinstance(cause, ModuleNotFoundError) for cause in _causes(error)):
        return Flaw("contract_error", f"{_first_line(error)}: imports are possible {ALLOWED_IMPORTS}{_where(error)}")
    return Flaw(outcome, f"{named(error)}{_where(error)}")


def _word(error: BaseException) -> str | None:
    if isinstance(error, MemoryError) or any(sign in str(error) for sign in _NO_MEMORY):
        return "out_of_memory"
    if isinstance(error, OSError):
        return {errno.ENOMEM: "out_of_memory"}.get(error.errno or 0, "forbidden" if error.errno in _REFUSED else None)
    return "forbidden" if "can't start new thread" in str(error) else None


def _of_processes(error: BaseException) -> bool:
    """Return whether the error comes from an attempt to start a process.

    It may have failed at a semaphore, at shared memory, or at the fork.
    """
    frames = [frame for cause in _causes(error) for frame, _ in traceback.walk_tb(cause.__traceback__)]
    return isinstance(error, OSError | RuntimeError) and any(
        frame.f_globals.get("__name__", "").partition(".")[0] in _PROCESSES for frame in frames
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def named(error: BaseException) -> str:
    """Return the type of an error and the first line of its message."""
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return next(iter(text.strip().splitlines()), "")


def _where(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f" (line {error.lineno})" if error.lineno else ""
    frames = traceback.walk_tb(error.__traceback__)  # extract_tb would read the source of every file on the way
    lines = [line for frame, line in frames if PurePath(frame.f_code.co_filename).name == FILENAME]
    return f" (line {lines[-1]})" if lines else ""
