"""Resource limits of the child (setrlimit(2)). They hold without any privilege and where there is no cgroup."""

import math
import os
from dataclasses import dataclass
from resource import (
    RLIM_INFINITY,
    RLIMIT_AS,
    RLIMIT_CORE,
    RLIMIT_CPU,
    RLIMIT_DATA,
    RLIMIT_FSIZE,
    RLIMIT_MEMLOCK,
    RLIMIT_MSGQUEUE,
    RLIMIT_NICE,
    RLIMIT_NOFILE,
    RLIMIT_NPROC,
    RLIMIT_RTPRIO,
    RLIMIT_SIGPENDING,
    RLIMIT_STACK,
    getrlimit,
    setrlimit,
)

DESCRIPTORS = 64
_QUEUED_SIGNALS = 64
_STACK = 64 * 1024**2
_BACKSTOP = 1.25


@dataclass(frozen=True)
class Bounds:
    """Values of a protocol's `Limits` without pydantic, of which the fork server stays free."""

    cpu_seconds: float
    wall_seconds: float
    memory_bytes: int
    processes: int
    tmpfs_bytes: int
    output_bytes: int


def confine(
    bounds: Bounds,
    *,
    address_space: int | None,
    file_bytes: int,
    processes: int,
    descriptors: int = DESCRIPTORS,
    data: int | None = None,
) -> None:
    """Set the limits of this process.

    `address_space` is what the child maps already, in bytes; the candidate gets `bounds.memory_bytes` on top of it.
    None leaves it unbounded, because CUDA reserves terabytes of it; `data`, in bytes, then bounds what it can write to
    and shares with nobody, and the cgroup all of it.

    The CPU limit here is a backstop; the fork server kills at the exact limit. The kernel counts ticks for this one,
    which were seen to run 3 % ahead of the exact clock, and its SIGKILL cannot be told from another.
    """
    limits = {
        RLIMIT_AS: RLIM_INFINITY if address_space is None else address_space + bounds.memory_bytes,
        RLIMIT_DATA: RLIM_INFINITY if data is None else data + bounds.memory_bytes,
        RLIMIT_CPU: math.ceil(_BACKSTOP * bounds.cpu_seconds) + 1,
        RLIMIT_NPROC: processes,
        RLIMIT_FSIZE: file_bytes,
        RLIMIT_NOFILE: descriptors,
        RLIMIT_CORE: 0,
        RLIMIT_MEMLOCK: 0,
        RLIMIT_MSGQUEUE: 0,
        RLIMIT_SIGPENDING: _QUEUED_SIGNALS,
        RLIMIT_STACK: _STACK,
        RLIMIT_RTPRIO: 0,
        RLIMIT_NICE: 0,
    }
    for kind, limit in limits.items():
        soft, hard = (_lower(limit, given) for given in getrlimit(kind))  # what was given cannot be raised
        setrlimit(kind, (soft, hard))


def _lower(limit: int, given: int) -> int:
    finite = [value for value in (limit, given) if value != RLIM_INFINITY]
    return min(finite, default=RLIM_INFINITY)


def address_space(proc: int) -> int:
    """Return the number of bytes that this process maps; `proc` is a descriptor of /proc."""
    return _statm(proc, 0)


def data_segment(proc: int) -> int:
    """Return the number of bytes that this process can write to and shares with nobody, its stack among them."""
    return _statm(proc, 5)


def _statm(proc: int, field: int) -> int:
    fd = os.open("self/statm", os.O_RDONLY, dir_fd=proc)
    try:
        return int(os.read(fd, 4096).split()[field]) * os.sysconf("SC_PAGE_SIZE")
    finally:
        os.close(fd)
