"""Control groups, where this process may make them: limits on what rlimits cannot see.

These are memory together with what the kernel itself holds for a candidate, tasks, a share of the CPUs, no swap, and no
huge pages of the machine's own pool.
"""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from archloop.protocols.model import Limits

BOUNDS = ("memory", "tasks", "CPU share", "swap", "huge pages")
_MOUNT = Path("/sys/fs/cgroup")
_PREFIX = "archloop"
_CONTROLLERS = ("memory", "pids", "cpu", "hugetlb")
_SLACK = 128 * 1024**2  # what a child copies of the fork server's own pages
_PERIOD_US = 100_000  # the kernel's own; a share is given out once in each
_LEFT_BEHIND = 64 * 1024**2


class _Files(NamedTuple):
    """Names of the control files, which differ between versions 1 and 2.

    `share` formats the microseconds of a period for the file `cpu`. `everything` is written to the file `reclaim` to
    have the kernel give all memory back.
    """

    memory: str
    used: str
    tasks: str
    kills: str
    cpu: str
    share: str
    swap: str
    huge: str
    reclaim: str
    everything: str


_V1 = _Files(
    memory="memory.limit_in_bytes",
    used="memory.usage_in_bytes",
    tasks="pids.max",
    kills="memory.oom_control",
    cpu="cpu.cfs_quota_us",
    share="{}",
    swap="memory.swappiness",
    huge="hugetlb.*.limit_in_bytes",
    reclaim="memory.force_empty",
    everything="0",
)
_V2 = _Files(
    memory="memory.max",
    used="memory.current",
    tasks="pids.max",
    kills="memory.events",
    cpu="cpu.max",
    share=f"{{}} {_PERIOD_US}",
    swap="memory.swap.max",
    huge="hugetlb.*.max",
    reclaim="memory.reclaim",
    everything="1T",
)


@dataclass(frozen=True)
class Group:
    """Control group of one slot: one directory in version 2, one for each controller in version 1."""

    directories: tuple[Path, ...]
    files: _Files

    def limit(self, limits: Limits, beyond: int = 0) -> None:
        """Set the limits of the next job, which may take `beyond` bytes more than its own."""
        self._write(self.files.memory, limits.memory_bytes + limits.tmpfs_bytes + _SLACK + beyond)
        self._write(self.files.tasks, limits.processes)

    def close_in(self, threads: int) -> None:
        """Bound the CPU time to that of so many threads, and forbid swap and huge pages; called once.

        The kernel refuses a share that is larger than the group above has, which then is the bound.
        """
        with suppress(OSError):
            self._write(self.files.cpu, self.files.share.format(threads * _PERIOD_US))
        self._write(self.files.swap, 0)
        self._write(self.files.huge, 0)

    def bounds(self) -> list[str]:
        """Return those of BOUNDS that this machine offers."""
        files = (self.files.memory, self.files.tasks, self.files.cpu, self.files.swap, self.files.huge)
        return [name for name, file in zip(BOUNDS, files, strict=True) if self._found(file)]

    def leave(self) -> None:
        """Have the kernel give back what it still holds for a candidate that is gone, mostly names of files.

        Call it after each job, or the next one would have to make room. It takes seconds after a job that left
        gigabytes, and nothing after an honest one.
        """
        for used in self._found(self.files.used):
            if int(used.read_text()) > _LEFT_BEHIND:
                with suppress(OSError):  # there is less than everything, or the kernel has no such file
                    (used.parent / self.files.reclaim).write_text(self.files.everything)

    def open(self) -> list[int]:
        """Open the files through which a process joins by writing 0; the caller closes the descriptors."""
        return [os.open(directory / "cgroup.procs", os.O_WRONLY) for directory in self.directories]

    def kills(self) -> int:
        """Return how often the kernel has killed a process of the group for its memory."""
        for directory in self.directories:
            with suppress(FileNotFoundError):
                lines = (directory / self.files.kills).read_text().splitlines()
                return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
        return 0

    def remove(self) -> None:
        """Remove the group if it is empty; one that is not is left for the next start to sweep."""
        for directory in self.directories:
            with suppress(OSError):
                directory.rmdir()

    def _write(self, name: str, value: int | str) -> None:
        for file in self._found(name):
            file.write_text(str(value))

    def _found(self, name: str) -> list[Path]:
        return [file for directory in self.directories for file in directory.glob(name)]


def create(slot: int, threads: int = 1) -> Group | None:
    """Make a group for a slot of so many threads; None where the machine does not allow it."""
    for parents, files in ((_parents_v1(), _V1), (_parents_v2(), _V2)):
        name = f"{_PREFIX}-{os.getpid()}-{slot}-{secrets.token_hex(4)}"
        group = Group(tuple(path for parent in parents if (path := _made(parent, name))), files)
        if group.bounds()[:1] == ["memory"]:
            group.close_in(threads)
            return group
        group.remove()
    return None


def _made(parent: Path, name: str) -> Path | None:
    """Make a directory below `parent`; None where this process may not."""
    try:
        _sweep(parent)
        (parent / name).mkdir()
    except OSError:
        return None
    return parent / name


def _parents_v1() -> list[Path]:
    own = _own_paths()
    found = [_MOUNT / name / own[name].lstrip("/") for name in _CONTROLLERS if name in own]
    return [path for path in found if path.is_dir()]


def _parents_v2() -> list[Path]:
    path = _MOUNT / _own_paths().get("", "/").lstrip("/")
    return [path] if (path / "cgroup.controllers").exists() else []


def _own_paths() -> dict[str, str]:
    """Return the groups of this process by controller; the empty name is version 2 (cgroups(7))."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return {}
    return {name: path for _, names, path in (line.split(":", 2) for line in lines) for name in names.split(",")}


def _sweep(parent: Path) -> None:
    """Remove groups of services that were killed before they could remove them."""
    for stale in parent.glob(f"{_PREFIX}-*"):
        if not Path(f"/proc/{stale.name.split('-')[1]}").exists():
            with suppress(OSError):
                stale.rmdir()
