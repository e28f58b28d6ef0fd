"""Large pages behind the fork server's memory: a fork copies one entry of the page table where it copied 512."""

import os
from collections.abc import Iterator
from contextlib import suppress

from services.evaluator.sandbox import kernel

_HUGE = 2 * 1024**2


def gather(proc: int) -> None:
    """Once, when everything that children share is in place; `proc` is a descriptor of /proc.

    A fork and its end then take less than half the time. A kernel that cannot (Linux 6.1, and huge pages not
    switched off) leaves the memory as it is.
    """
    for start, end in list(_anonymous(proc)):
        with suppress(OSError):
            kernel.collapse(start, end - start)


def _anonymous(proc: int) -> Iterator[tuple[int, int]]:
    """The whole huge pages within private writable memory that no file is behind (maps in proc(5))."""
    with open("self/maps", opener=lambda name, flags: os.open(name, flags, dir_fd=proc)) as maps:
        for line in maps:
            span, rights, _, _, inode, *_ = line.split()
            start, end = (int(address, 16) for address in span.split("-"))
            start, end = -(-start // _HUGE) * _HUGE, end // _HUGE * _HUGE
            if rights == "rw-p" and inode == "0" and start < end:
                yield start, end
