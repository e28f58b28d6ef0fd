"""A filter that allows the system calls of calls.py, and no others (seccomp(2), through libseccomp).

A call that is not listed fails with EPERM, which libraries that merely probe survive. A call that only an attack makes
kills the process with SIGSYS, which no `except` hides.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import product

from archloop.errors import SandboxUnavailable
from services.evaluator.sandbox import calls, gpu, kernel
from services.evaluator.sandbox.calls import Bits, Condition, Masked, Only, Own, Ways

try:
    import pyseccomp as libseccomp
except RuntimeError as error:  # the C library that the package binds is not there
    raise SandboxUnavailable(
        "libseccomp.so.2 is missing: install the package libseccomp2 (Debian) or libseccomp (Fedora, Alpine)"
    ) from error


def confine(*, may_write: bool, on_gpu: bool = False) -> None:
    """Load the filter for this process and its threads, for good.

    `may_write` says whether it has files to change, `on_gpu` whether it talks to a GPU's driver.
    """
    kernel.filter_system_calls(program(may_write=may_write, on_gpu=on_gpu, pid=os.getpid()))


@cache
def program(*, may_write: bool, on_gpu: bool, pid: int) -> bytes:
    """Return the filter for the process of that number, as the kernel takes it (BPF).

    Building it takes milliseconds, so the fork server has it ready for children who are all number 1, each in a
    namespace of its own.
    """
    rules = libseccomp.SyscallFilter(defaction=libseccomp.ERRNO(errno.EPERM))
    rules.set_attr(libseccomp.Attr.ACT_BADARCH, libseccomp.KILL_PROCESS)
    rules.set_attr(libseccomp.Attr.CTL_OPTIMIZE, 2)
    _add(rules, libseccomp.KILL_PROCESS, calls.ATTACKS)
    _add(rules, libseccomp.ERRNO(0), calls.PRETENDED)
    _add(rules, libseccomp.ERRNO(errno.EOPNOTSUPP), calls.UNSUPPORTED)
    # Its flags lie in memory where a filter cannot look; without it the C library falls back to clone.
    rules.add_rule(libseccomp.ERRNO(errno.ENOSYS), "clone3")
    _add(rules, libseccomp.ALLOW, whole(may_write=may_write, on_gpu=on_gpu))
    for name, ways in some(may_write=may_write, on_gpu=on_gpu).items():
        for comparisons in _comparisons(ways, pid):
            _add(rules, libseccomp.ALLOW, name, *comparisons)
    return _exported(rules)


def whole(*, may_write: bool = True, on_gpu: bool = False) -> str:
    """Return the names of calls that are allowed with any arguments, separated by blanks."""
    return " ".join((calls.WHOLE, calls.CHANGES_FILES if may_write else "", gpu.WHOLE if on_gpu else ""))


def some(*, may_write: bool = True, on_gpu: bool = False) -> dict[str, Ways]:
    """Return the calls that are allowed with some arguments only, and with which."""
    ways = calls.SOME | (calls.OPEN_WRITING if may_write else calls.OPEN_READING)
    if not on_gpu:
        return ways
    return ways | {name: ways.get(name, ()) + more for name, more in gpu.SOME.items()}


def size() -> int:
    """Return how many system calls are allowed in some form."""
    return len(whole().split()) + len(some())


def _comparisons(ways: Ways, pid: int) -> Iterator[tuple["libseccomp.Arg", ...]]:
    """Yield each set of comparisons that lets a call through when all of them hold."""
    for way in ways:
        yield from product(*(_alternatives(condition, pid) for condition in way))


def _alternatives(condition: Condition, pid: int) -> list["libseccomp.Arg"]:
    equal, masked = libseccomp.EQ, libseccomp.MASKED_EQ
    match condition:
        case Only(position, values):
            return [libseccomp.Arg(position, equal, value) for value in values.values()]
        case Own(position):
            return [libseccomp.Arg(position, equal, pid)]
        case Bits(position):
            return [libseccomp.Arg(position, masked, condition.forbidden, 0)]
        case Masked(position, mask, bits):
            return [libseccomp.Arg(position, masked, mask, bits)]


def _add(rules: "libseccomp.SyscallFilter", action: int, names: str, *comparisons: "libseccomp.Arg") -> None:
    """Add a rule for each of these calls, and skip names that this library does not know.

    Those belong to another architecture or kernel, where EPERM is the safe answer.
    """
    for name in names.split():
        with suppress(OSError):
            rules.add_rule(action, name, *comparisons)


def _exported(rules: "libseccomp.SyscallFilter") -> bytes:
    """Return the filter as bytes, through a pipe, because a limit on file sizes does not apply there.

    A program has 4,096 instructions at most, which fits into the pipe.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with os.fdopen(reader, "rb") as source:
        with os.fdopen(writer, "wb") as sink:
            rules.export_bpf(sink)
        return source.read()
