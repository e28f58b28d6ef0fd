"""The root file system of the fork server and its children: the interpreter and its libraries, nothing else.

Built once, as mounts of its own namespace, so that it is gone with the last process in it. Files are bound, not
copied, and a child finds them readable even where the interpreter lies below a private home directory.
"""

import os
import sysconfig
from contextlib import suppress
from pathlib import Path

from services.evaluator.sandbox import gpu, kernel

_SYSTEM = ("/usr/lib", "/usr/lib64", "/lib", "/lib64")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_COPIES = ("/etc/ld.so.cache", "/proc/cpuinfo")  # for the dynamic loader, and for torch's choice of kernels
SCRATCH = "/tmp"  # noqa: S108 - not the machine's
OWN = f"{SCRATCH}/own"  # where a child starts: empty, whatever shines through above
_STAGE = "/stage"


def enter(packages: list[str], gpu_files: tuple[str, ...] = ()) -> None:
    """Make the jail the root. Needs CAP_SYS_ADMIN over a mount namespace that is not shared."""
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    sources = {path: os.open(path, os.O_PATH) for path in _directories(packages)}
    devices = {path: os.open(path, os.O_PATH) for path in (*_DEVICES, *gpu_files)}
    copies = {
        path: Path(path).read_bytes() for path in (*_COPIES, *(gpu.FACTS if gpu_files else ())) if Path(path).exists()
    }
    root = SCRATCH
    kernel.mount("jail", root, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=4m,nr_inodes=4k,mode=755")
    for path, fd in sources.items():
        _bind(fd, root + path, directory=True)
    for path, fd in devices.items():
        _bind(fd, root + path, directory=Path(path).is_dir())
    for path, content in copies.items():
        _parent(root + path)
        Path(root + path).write_bytes(content)
    _links(root)
    os.makedirs(root + SCRATCH, exist_ok=True)  # noqa: PTH103
    os.makedirs(root + _STAGE)  # noqa: PTH103
    kernel.seal_readonly(root)
    kernel.pivot_into(root)
    mount_scratch(packages, size=1 << 16, mode=0o1777)  # torch's imports want one; each child gets its own over it
    for fd in (*sources.values(), *devices.values()):
        os.close(fd)


def mount_scratch(packages: list[str], *, size: int, mode: int) -> None:
    """The only place to write: a tmpfs without programs and devices, gone with its namespace.

    Where the project or its libraries lie below the machine's /tmp, they shine through, read-only as they are.
    """
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("scratch", _STAGE, "tmpfs", flags, f"size={size},nr_inodes=1k,mode={mode:o}")
    for path in _directories(packages):
        if path.startswith(f"{SCRATCH}/"):
            target = _STAGE + path.removeprefix(SCRATCH)
            os.makedirs(target, mode=0o755)  # noqa: PTH103
            kernel.mount(path, target, None, kernel.MS_BIND | kernel.MS_REC)
    kernel.mount(_STAGE, SCRATCH, None, kernel.MS_MOVE)


def readable_paths(packages: list[str]) -> list[str]:
    """What a child reads: at level `process`, where there is no jail, Landlock allows exactly this."""
    return [*_SYSTEM, *_directories(packages), "/etc/ld.so.cache", "/proc/cpuinfo", "/dev/urandom"]


def _directories(packages: list[str]) -> list[str]:
    """Directories to bind, outermost only: binding one binds what lies below."""
    names = ("stdlib", "platstdlib")
    wanted = {sysconfig.get_path(name) for name in names} | {sysconfig.get_config_var("LIBDIR"), *packages}
    real = {os.path.realpath(path) for path in (*_SYSTEM, *wanted) if path and Path(path).is_dir()}
    return sorted(p for p in real if not any(p.startswith(f"{other}/") for other in real))


def _bind(fd: int, target: str, *, directory: bool) -> None:
    if directory:
        os.makedirs(target, mode=0o755, exist_ok=True)  # noqa: PTH103
    else:
        _parent(target)
        Path(target).touch()
    kernel.mount(f"/proc/self/fd/{fd}", target, None, kernel.MS_BIND | kernel.MS_REC)


def _links(root: str) -> None:
    """Symbolic links that the host has on the way to its libraries (/lib -> usr/lib)."""
    for path in _SYSTEM:
        if Path(path).is_symlink():
            with suppress(FileExistsError):
                Path(root + path).symlink_to(Path(path).readlink())


def _parent(path: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)  # noqa: PTH103, PTH120
