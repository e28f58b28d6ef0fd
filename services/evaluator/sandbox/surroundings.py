"""Whether this process is itself in a hardened container: the wall around the walls, of the level `container`.

Asked of the kernel, not of a setting: what a manifest promised is worth what arrived.
"""

import os
from pathlib import Path

_PROC = Path("/proc")
_INITIAL = {"pid": 4026531836, "ipc": 4026531839, "uts": 4026531838}  # include/linux/proc_ns.h
_SOCKETS = ("docker.sock", "containerd/containerd.sock", "crio/crio.sock", "podman/podman.sock")


def shortcomings(proc: Path = _PROC, run: Path = Path("/run")) -> list[str]:
    """What is missing for a hardened container, each in a few words; none where it is one."""
    status = _fields(proc / "self/status")
    checks = {
        **{f"a {kind} namespace of its own": not _shared(proc, kind) for kind in _INITIAL},
        "a user other than root": status.get("Uid", "0").split()[0] != "0",
        "no_new_privs": status.get("NoNewPrivs") == "1",
        "a seccomp filter": status.get("Seccomp") == "2",
        "an empty capability bounding set": int(status.get("CapBnd", "1"), 16) == 0,
        "a read-only root file system": "ro" in _mount_options(proc, "/"),
        "cgroups that it cannot write to": "rw" not in _mount_options(proc, "/sys/fs/cgroup"),
        "no socket of a container engine": not any(os.access(run / name, os.W_OK) for name in _SOCKETS),
    }
    return [name for name, ok in checks.items() if not ok]


def _fields(path: Path) -> dict[str, str]:
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return {name: value.strip() for name, _, value in lines}


def _shared(proc: Path, kind: str) -> bool:
    """Whether the namespace is the machine's first one, whose number is fixed."""
    return str(_INITIAL[kind]) in str((proc / "self/ns" / kind).readlink())


def _mount_options(proc: Path, point: str) -> list[str]:
    """Of the mount that lies on top there (proc_pid_mountinfo(5)); none where there is no mount."""
    rows = [line.split() for line in (proc / "self/mountinfo").read_text().splitlines()]
    return next((row[5].split(",") for row in reversed(rows) if row[4] == point), [])
