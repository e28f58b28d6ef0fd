"""The root file system of the fork server and its children: what candidates need to compute, nothing else.

It is built once, as mounts of its own namespace, so that it is gone with the last process in it. Files are bound, not
copied, and a child can read them even where the interpreter lies below a private home directory.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePath

from services.evaluator.sandbox import gpu, kernel, landlock
from services.evaluator.sandbox.contents import Contents

_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_COPIES = ("/etc/ld.so.cache", "/proc/cpuinfo")  # for the dynamic loader, and for torch's choice of kernels
SCRATCH = "/tmp"  # noqa: S108 - not the machine's
OWN = f"{SCRATCH}/own"  # where a child starts: empty, whatever shines through above
_STAGE = "/stage"


def enter(contents: Contents, gpu_files: tuple[str, ...] = ()) -> None:
    """Make the jail the root. Needs CAP_SYS_ADMIN over a mount namespace that is not shared."""
    os.umask(0o022)  # whoever it runs as then, it finds its way through the folders made here
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    held = {path: os.open(path, os.O_PATH) for path in (*contents.shown, *_DEVICES, *gpu_files)}
    copies = {path: Path(path).read_bytes() for path in _COPIES if Path(path).exists()}
    copies |= gpu.facts() if gpu_files else {}
    root = SCRATCH
    _empty("jail", root, "size=8m,nr_inodes=8k,mode=755")
    for path in sorted({*held, *contents.hidden}):  # what is around something comes before it
        if path in held:
            _bind(f"/proc/self/fd/{held[path]}", root + path)
        else:
            _empty("hidden", root + path, "size=64k,nr_inodes=1k,mode=755")
    for path, content in copies.items():
        _parent(root + path)
        Path(root + path).write_bytes(content)
    _links(root, contents)
    for path, target in gpu.task_links() if gpu_files else ():
        _parent(root + path)
        Path(root + path).symlink_to(target)
    os.makedirs(root + SCRATCH, exist_ok=True)  # noqa: PTH103
    os.makedirs(root + _STAGE)  # noqa: PTH103
    kernel.seal_readonly(root)
    kernel.pivot_into(root)
    mount_scratch(contents, size=1 << 16, mode=0o1777)  # torch's imports want one; each child gets its own over it
    for fd in held.values():
        os.close(fd)


def mount_scratch(contents: Contents, *, size: int, mode: int) -> None:
    """Mount the only place to write: a tmpfs without programs and devices, gone with its namespace.

    Where the project or its libraries lie below the machine's /tmp, they are bound into it, still read-only.
    """
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("scratch", _STAGE, "tmpfs", flags, f"size={size},nr_inodes=1k,mode={mode:o}")
    for name in {path.split("/")[2] for path in contents.shown if path.startswith(f"{SCRATCH}/")}:
        _bind(f"{SCRATCH}/{name}", f"{_STAGE}/{name}")
    kernel.mount(_STAGE, SCRATCH, None, kernel.MS_MOVE)


def readable(contents: Contents) -> Mapping[str, int]:
    """Return the paths that a child may read, with the rights to each.

    At level `process`, where there is no jail, Landlock allows exactly this. It cannot hide what lies in a folder that
    may be searched: names of hidden files can be listed.
    """
    whole = (*contents.spread(), *_COPIES, "/dev/urandom")
    return dict.fromkeys((*contents.searched, *contents.partly()), landlock.NAMES) | dict.fromkeys(whole, landlock.READ)


def _empty(name: str, target: str, options: str) -> None:
    kernel.mount(name, target, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)


def _bind(source: str, target: str) -> None:
    if os.path.isdir(source):  # noqa: PTH112
        os.makedirs(target, mode=0o755, exist_ok=True)  # noqa: PTH103
    else:
        _parent(target)
        Path(target).touch()
    kernel.mount(source, target, None, kernel.MS_BIND | kernel.MS_REC)


def _links(root: str, contents: Contents) -> None:
    """Make the symbolic links that the machine has on the way to what is shown (/lib -> usr/lib)."""
    for path, target in contents.links.items():
        if not contents.holds(PurePath(path).parent):  # else it came with its folder
            _parent(root + path)
            with suppress(FileExistsError):
                Path(root + path).symlink_to(target)


def _parent(path: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)  # noqa: PTH103, PTH120
