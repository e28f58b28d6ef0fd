"""System calls that Python has no name for, each as a function that raises OSError."""

import ctypes
import os
import platform
import struct

from archloop.errors import SandboxUnavailable

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 4096, 8192, 16384, 1 << 18

CAP_SYS_ADMIN = 21

_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 4, 22, 24, 38
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID = 1, 2
_AT_FDCWD = -100
_MADV_COLLAPSE = 25
_SYS_CLOSE_RANGE, _SYS_MOUNT_SETATTR = 436, 442  # the same on every architecture since Linux 5.1

# PyDLL, because releasing the interpreter lock around unshare or fork would gain nothing in one thread.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def unshare(flags: int) -> None:
    """Leave the shared namespaces of these kinds (unshare(2))."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    """Join the namespace behind a descriptor (setns(2))."""
    _check(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """Attach a file system or a bind (mount(2))."""
    args = [None if text is None else text.encode() for text in (source, target, kind)]
    data = None if options is None else options.encode()
    _check(_libc.mount(*args, ctypes.c_ulong(flags), data), f"mount {target}")


def pivot_into(root: str) -> None:
    """Make `root` the root of this mount namespace and let go of the old one (pivot_root(2), NOTES)."""
    os.chdir(root)
    _check(_libc.pivot_root(b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", 2), "umount2")
    os.chdir("/")


def seal_readonly(path: str) -> None:
    """Make `path` and every mount below it read-only and without setuid (mount_setattr(2), Linux 5.12)."""
    attributes = struct.pack("QQQQ", _MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID, 0, 0, 0)
    args = (_AT_FDCWD, path.encode(), ctypes.c_uint(_AT_RECURSIVE), attributes, ctypes.c_size_t(len(attributes)))
    syscall(_SYS_MOUNT_SETATTR, *args)


def hostname(name: str) -> None:
    """Name this machine in its own UTS namespace: sethostname(2)."""
    _check(_libc.sethostname(name.encode(), len(name)), "sethostname")


def keep_capabilities(*kept: int) -> None:
    """Drop every capability but these, from the bounding set too (capabilities(7))."""
    for capability in range(64):
        if capability not in kept:
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # EINVAL past the last one
    mask = sum(1 << capability for capability in kept)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(header, struct.pack("IIIIII", low, low, 0, high, high, 0)), "capset")


def no_new_privileges() -> None:
    """Forbid this process to gain privileges by execve(2): prctl(PR_SET_NO_NEW_PRIVS)."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def set_dumpable(*, yes: bool) -> None:
    """Set whether processes of the same user may trace this one and open its /proc files (prctl(2))."""
    _check(_libc.prctl(_PR_SET_DUMPABLE, int(yes), 0, 0, 0), "dumpable")


def close_from(fd: int) -> None:
    """Close this descriptor and all above (close_range(2), Linux 5.9)."""
    syscall(_SYS_CLOSE_RANGE, ctypes.c_uint(fd), ctypes.c_uint(0xFFFFFFFF), ctypes.c_uint(0))


def filter_system_calls(program: bytes) -> None:
    """Load a filter of classic BPF, 8 bytes an instruction (PR_SET_SECCOMP in prctl(2))."""
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HP", len(program) // 8, ctypes.addressof(instructions))
    _check(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0), "seccomp")


def collapse(address: int, length: int) -> None:
    """Gather these pages of this process into huge ones (MADV_COLLAPSE in madvise(2), Linux 6.1)."""
    _check(_libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(length), _MADV_COLLAPSE), "madvise")


def settle_sorting() -> None:
    """Have qsort(3) choose its algorithm now, for good.

    Until glibc 2.36 it asks sysinfo(2) for the machine's memory, and works with a wrong size where that is refused.
    """
    rows = ctypes.create_string_buffer(4096)
    _libc.qsort(rows, ctypes.c_size_t(512), ctypes.c_size_t(8), _libc.strcmp)


def syscall(number: int, *args: object) -> int:
    """Make a system call by its number."""
    result = int(_libc.syscall(ctypes.c_long(number), *args))
    _check(result, f"system call {number}")
    return result


def require_linux() -> None:
    """Raise SandboxUnavailable on other systems than Linux."""
    if platform.system() != "Linux":
        raise SandboxUnavailable(f"the sandbox needs Linux, this is {platform.system()}")


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
