"""Checks whether this process runs in a hardened container, as the level `container` demands.

The kernel is asked, not a setting, because only what a manifest achieved counts.
"""

import os
from pathlib import Path
from typing import NamedTuple

from services.evaluator.sandbox import landlock

_PROC = Path("/proc")
_INITIAL = {"pid": 4026531836, "ipc": 4026531839, "uts": 4026531838}  # include/linux/proc_ns.h
_SOCKETS = ("docker.sock", "containerd/containerd.sock", "crio/crio.sock", "podman/podman.sock")


class _Mount(NamedTuple):
    point: str
    kind: str
    options: tuple[str, ...]


def missing_protections(proc: Path = _PROC, run: Path = Path("/run")) -> list[str]:
    """Name what this process lacks of a hardened container, each in a few words; empty if it is in one."""
    status = _fields(proc / "self/status")
    mounts = _mounts(proc)
    checks = {
        **{f"a {kind} namespace of its own": not _shared(proc, kind) for kind in _INITIAL},
        "a user other than root": status.get("Uid", "0").split()[0] != "0",
        "no_new_privs": status.get("NoNewPrivs") == "1",
        "a seccomp filter": status.get("Seccomp") == "2",
        "an empty capability bounding set": int(status.get("CapBnd", "1"), 16) == 0,
        "a read-only root file system": "ro" in next((m.options for m in mounts if m.point == "/"), ()),
        "cgroups that it cannot write to": not any("rw" in m.options for m in mounts if m.kind.startswith("cgroup")),
        "Landlock in its kernel": landlock.abi() > 0,
        "no socket of a container engine": not any(os.access(run / name, os.W_OK) for name in _SOCKETS),
    }
    return [name for name, ok in checks.items() if not ok]


def _fields(path: Path) -> dict[str, str]:
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return {name: value.strip() for name, _, value in lines}


def _shared(proc: Path, kind: str) -> bool:
    """Return whether the namespace is the machine's first one, whose number is fixed."""
    return str(_INITIAL[kind]) in str((proc / "self/ns" / kind).readlink())


def _mounts(proc: Path) -> list[_Mount]:
    """Return what is mounted, latest first (proc_pid_mountinfo(5))."""
    parts = (line.partition(" - ") for line in reversed((proc / "self/mountinfo").read_text().splitlines()))
    rows = [(before.split(), after.split()) for before, _, after in parts]
    return [_Mount(before[4], after[0], tuple(before[5].split(","))) for before, after in rows]
