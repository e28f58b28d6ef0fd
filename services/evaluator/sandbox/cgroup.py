"""Control groups, where this process may make them: the memory and task limits that count what rlimits cannot see."""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from archloop.protocols.model import Limits

_MOUNT = Path("/sys/fs/cgroup")
_PREFIX = "archloop"
_SLACK = 128 * 1024**2  # what a child copies of the fork server's own pages


class _Files(NamedTuple):
    """The names of the same things in versions 1 and 2."""

    memory: str
    tasks: str
    kills: str


_V1 = _Files("memory.limit_in_bytes", "pids.max", "memory.oom_control")
_V2 = _Files("memory.max", "pids.max", "memory.events")


@dataclass(frozen=True)
class Group:
    """One slot's group: one directory in version 2, one for each controller in version 1."""

    directories: tuple[Path, ...]
    files: _Files

    def limit(self, limits: Limits) -> None:
        """Before each job."""
        self._write(self.files.memory, limits.memory_bytes + limits.tmpfs_bytes + _SLACK)
        self._write(self.files.tasks, limits.processes)

    def open(self) -> list[int]:
        """Descriptors through which a process joins by writing 0. The caller closes them."""
        return [os.open(directory / "cgroup.procs", os.O_WRONLY) for directory in self.directories]

    def kills(self) -> int:
        """How often the kernel has killed for memory here."""
        for directory in self.directories:
            with suppress(FileNotFoundError):
                lines = (directory / self.files.kills).read_text().splitlines()
                return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
        return 0

    def remove(self) -> None:
        """Only an empty group can be removed; one that is not is left for the next start to sweep."""
        for directory in self.directories:
            with suppress(OSError):
                directory.rmdir()

    def _write(self, name: str, value: int) -> None:
        for directory in self.directories:
            if (directory / name).exists():
                (directory / name).write_text(str(value))


def create(slot: int) -> Group | None:
    """A group for the slot, or None where the machine gives none."""
    for parents, files in ((_parents_v1(), _V1), (_parents_v2(), _V2)):
        if not parents:
            continue
        name = f"{_PREFIX}-{os.getpid()}-{slot}-{secrets.token_hex(4)}"
        group = Group(tuple(parent / name for parent in parents), files)
        try:
            for parent, directory in zip(parents, group.directories, strict=True):
                _sweep(parent)
                directory.mkdir()
            if any((directory / files.memory).exists() for directory in group.directories):
                return group
        except OSError:
            pass
        group.remove()
    return None


def _parents_v1() -> list[Path]:
    own = _own_paths()
    found = [_MOUNT / name / own[name].lstrip("/") for name in ("memory", "pids") if name in own]
    return [path for path in found if path.is_dir()]


def _parents_v2() -> list[Path]:
    path = _MOUNT / _own_paths().get("", "/").lstrip("/")
    return [path] if (path / "cgroup.controllers").exists() else []


def _own_paths() -> dict[str, str]:
    """Where this process is, by controller; the empty name is version 2 (cgroups(7))."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return {}
    return {name: path for _, names, path in (line.split(":", 2) for line in lines) for name in names.split(",")}


def _sweep(parent: Path) -> None:
    """Groups of services that were killed before they could remove them."""
    for stale in parent.glob(f"{_PREFIX}-*"):
        if not Path(f"/proc/{stale.name.split('-')[1]}").exists():
            with suppress(OSError):
                stale.rmdir()
