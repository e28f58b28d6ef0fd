"""Checks of what this machine offers for confining candidates, for `archloop doctor`."""

import os
import platform
from collections.abc import Callable
from typing import NamedTuple

from archloop.errors import ArchloopError, SandboxUnavailable
from services.evaluator.sandbox import cgroup, kernel, landlock
from services.evaluator.sandbox.container_checks import missing_protections
from services.evaluator.sandbox.fork_server import launch, obstacles


class Check(NamedTuple):
    """Result of one check; what is not `needed` only adds to the confinement."""

    name: str
    ok: bool
    detail: str
    needed: bool = True


def report() -> list[Check]:
    """Try each means of confinement for real; takes some seconds, because it starts the fork server."""
    return [
        _tried("seccomp", _seccomp),
        _tried("landlock", _landlock, needed=False),
        _tried("cgroups", _cgroups, needed=False),
        _tried("shared memory", _memory_files),
        _tried("namespaces", _namespaces),
        _tried("container", _container, needed=False),
    ]


def _tried(name: str, look: Callable[[], str], *, needed: bool = True) -> Check:
    try:
        return Check(name, ok=True, detail=look(), needed=needed)
    except (OSError, ArchloopError) as error:
        return Check(name, ok=False, detail=str(error), needed=needed)


def _seccomp() -> str:
    from services.evaluator.sandbox import seccomp

    return f"filter for {platform.machine()}, {seccomp.size()} system calls allowed"


def _landlock() -> str:
    version = landlock.abi()
    if not version:
        raise OSError(f"not in Linux {platform.release()}, or disabled; files are guarded by the jail alone")
    return f"version {version}"


def _cgroups() -> str:
    group = cgroup.create(slot=0)
    if group is None:
        unbound = "CPU share, swap, huge pages and the names that the kernel remembers"
        raise OSError(f"none may be made here: rlimits alone bound memory and tasks, and nothing bounds {unbound}")
    bounds = group.bounds()
    group.remove()
    missing = [name for name in cgroup.BOUNDS if name not in bounds]
    return f"bound {', '.join(bounds)}" + (f"; not {', '.join(missing)}" if missing else "")


def _memory_files() -> str:
    os.close(os.memfd_create("doctor", os.MFD_ALLOW_SEALING))
    return "sealed memory files"


def _container() -> str:
    missing = missing_protections()
    if missing:
        raise OSError(f"not in a hardened one, which has {', '.join(missing)}")
    return "hardened: candidates run at level `container`"


def _namespaces() -> str:
    kernel.require_linux()
    fork_server = launch(namespaces=True, threads=1)
    try:
        fork_server.greet()
    except SandboxUnavailable as error:
        raise SandboxUnavailable(f"{error}{obstacles()}") from error
    fork_server.stop()
    return "user, mount, pid, net, ipc, uts, cgroup; as " + ("nobody" if os.geteuid() == 0 else f"user {os.geteuid()}")
