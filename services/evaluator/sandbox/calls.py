"""System calls that a candidate may make, and with which arguments: docs/reference/system-calls.md says why.

The list names what is allowed, because a list of what is forbidden would forget something. It looks at arguments,
because many a call is a bundle of commands of which one is meant. A name in two tables is a mistake.
"""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_

_INT, _LONG = (1 << 32) - 1, (1 << 64) - 1


@dataclass(frozen=True)
class Only:
    """Condition that the argument at `position` is one of these values."""

    position: int
    values: Mapping[str, int]


@dataclass(frozen=True)
class Bits:
    """Condition that the argument at `position` has no other bits than these.

    `width` is a mask of the bits that the kernel looks at.
    """

    position: int
    values: Mapping[str, int]
    width: int = _INT

    @property
    def forbidden(self) -> int:
        """All bits that the argument may not have."""
        return self.width & ~reduce(or_, self.values.values(), 0)


@dataclass(frozen=True)
class Own:
    """Condition that the argument at `position` is the number of this process."""

    position: int


@dataclass(frozen=True)
class Masked:
    """Condition that the argument at `position`, masked, has exactly these bits; `name` says what they mean."""

    position: int
    mask: int
    bits: int
    name: str


# Conditions that hold together, and the alternatives of them.
Condition = Only | Bits | Own | Masked
Way = tuple[Condition, ...]
Ways = tuple[Way, ...]

WHOLE = """
    read readv write writev pread64 pwrite64 close dup dup2 pipe poll ppoll select pselect6
    stat fstat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat getcwd chdir fchdir getdents64
    umask munmap brk
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack pause
    alarm setitimer getitimer nanosleep gettimeofday time times
    set_robust_list rseq restart_syscall sched_yield sched_getaffinity
    getpid gettid getppid getuid geteuid getgid getegid getrusage getcpu getrandom uname
    exit exit_group
"""

# Where there is a private tmpfs to change; elsewhere files are opened to be read, and no more.
CHANGES_FILES = """
    mkdir mkdirat rmdir unlink unlinkat rename renameat link linkat symlink symlinkat
    truncate ftruncate chmod fchmod fchmodat utimensat
"""

# Answered "done" without being done: nothing that a candidate writes outlives it, and on the machine's own files
# each would have a disk write out what it holds.
PRETENDED = "fsync fdatasync msync"

# Answered "not supported here": shutil.copy takes that for an answer and EPERM for a failure.
UNSUPPORTED = """
    getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr setxattr lsetxattr fsetxattr
    removexattr lremovexattr fremovexattr
"""

# No library calls these on the way to something honest.
ATTACKS = """
    ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd
    mount umount2 pivot_root chroot move_mount open_tree fsopen fsmount fsconfig mount_setattr
    unshare setns bpf userfaultfd perf_event_open keyctl add_key request_key open_by_handle_at
    kexec_load kexec_file_load init_module finit_module delete_module reboot swapon swapoff
    iopl ioperm acct quotactl io_uring_setup io_uring_enter io_uring_register
    settimeofday clock_settime setdomainname sethostname
"""

_CLOEXEC, _NONBLOCK = {"O_CLOEXEC": os.O_CLOEXEC}, {"O_NONBLOCK": os.O_NONBLOCK}
_READS = {
    **_CLOEXEC,
    **_NONBLOCK,
    "O_NOCTTY": os.O_NOCTTY,
    "O_DIRECTORY": os.O_DIRECTORY,
    "O_NOFOLLOW": os.O_NOFOLLOW,
    "O_APPEND": os.O_APPEND,
    "O_EXCL": os.O_EXCL,
    "O_LARGEFILE": 0x20000 if platform.machine() == "aarch64" else 0x8000,  # 0 in os, for the C library hides it
}
_WRITES = {
    "O_WRONLY": os.O_WRONLY,
    "O_RDWR": os.O_RDWR,
    "O_CREAT": os.O_CREAT,
    "O_TRUNC": os.O_TRUNC,
    "O_TMPFILE": os.O_TMPFILE & ~os.O_DIRECTORY,
}
_PROTECTION = {"PROT_READ": 1, "PROT_WRITE": 2, "PROT_EXEC": 4}
_MAPPING = {
    "MAP_SHARED": 0x1,
    "MAP_PRIVATE": 0x2,
    "MAP_FIXED": 0x10,
    "MAP_ANONYMOUS": 0x20,
    "MAP_DENYWRITE": 0x800,
    "MAP_NORESERVE": 0x4000,
    "MAP_STACK": 0x20000,
    "MAP_FIXED_NOREPLACE": 0x100000,
}
_ADVICE = {
    "MADV_DONTNEED": 4,
    "MADV_FREE": 8,
    "MADV_HUGEPAGE": 14,
    "MADV_NOHUGEPAGE": 15,
    "MADV_GUARD_INSTALL": 102,
    "MADV_GUARD_REMOVE": 103,
}
_FUTEX = {
    "FUTEX_WAIT": 0,
    "FUTEX_WAIT_PRIVATE": 128,
    "FUTEX_WAKE": 1,
    "FUTEX_WAKE_PRIVATE": 129,
    "FUTEX_WAIT_BITSET": 9,
    "FUTEX_WAIT_BITSET_PRIVATE": 137,
    "FUTEX_WAIT_BITSET_CLOCK_REALTIME": 265,
    "FUTEX_WAIT_BITSET_PRIVATE_CLOCK_REALTIME": 393,
    "FUTEX_WAKE_BITSET_PRIVATE": 138,
}
_CLOCKS = {
    "CLOCK_REALTIME": 0,
    "CLOCK_MONOTONIC": 1,
    "CLOCK_PROCESS_CPUTIME_ID": 2,
    "CLOCK_THREAD_CPUTIME_ID": 3,
    "CLOCK_MONOTONIC_RAW": 4,
    "CLOCK_REALTIME_COARSE": 5,
    "CLOCK_MONOTONIC_COARSE": 6,
    "CLOCK_BOOTTIME": 7,
}
_THREAD = {
    "CLONE_VM": 0x100,
    "CLONE_FS": 0x200,
    "CLONE_FILES": 0x400,
    "CLONE_SIGHAND": 0x800,
    "CLONE_THREAD": 0x10000,
    "CLONE_SYSVSEM": 0x40000,
    "CLONE_SETTLS": 0x80000,
    "CLONE_PARENT_SETTID": 0x100000,
    "CLONE_CHILD_CLEARTID": 0x200000,
}


# Calls with some of their arguments.
SOME: dict[str, Ways] = {
    "lseek": ((Only(2, {"SEEK_SET": 0, "SEEK_CUR": 1, "SEEK_END": 2}),),),
    "dup3": ((Bits(2, _CLOEXEC),),),
    "pipe2": ((Bits(1, _CLOEXEC | _NONBLOCK),),),
    "fcntl": (
        (
            Only(
                1,
                {"F_DUPFD": 0, "F_GETFD": 1, "F_SETFD": 2, "F_GETFL": 3, "F_DUPFD_CLOEXEC": 1030},
            ),
        ),
        (Only(1, {"F_SETFL": 4}), Bits(2, _READS | _WRITES)),
    ),
    "ioctl": (
        (Only(1, {"TCGETS": 0x5401, "TIOCGWINSZ": 0x5413, "FIONREAD": 0x541B, "FIONCLEX": 0x5450, "FIOCLEX": 0x5451}),),
    ),
    "mmap": ((Bits(2, _PROTECTION, _LONG), Bits(3, _MAPPING, _LONG)),),
    "mprotect": ((Bits(2, _PROTECTION, _LONG),),),
    "mremap": ((Bits(3, {"MREMAP_MAYMOVE": 1}, _LONG),),),
    "madvise": ((Only(2, _ADVICE),),),
    "futex": ((Only(1, _FUTEX),),),
    "clone": ((Only(0, {" | ".join(_THREAD): reduce(or_, _THREAD.values())}),),),
    "clock_gettime": ((Only(0, _CLOCKS),),),
    "clock_getres": ((Only(0, _CLOCKS),),),
    "clock_nanosleep": ((Only(0, {"CLOCK_REALTIME": 0, "CLOCK_MONOTONIC": 1}),),),
    "prctl": ((Only(0, {"PR_SET_NAME": 15, "PR_GET_NAME": 16}),),),
    "arch_prctl": (
        (Only(0, {"ARCH_GET_XCOMP_SUPP": 0x1021, "ARCH_GET_XCOMP_PERM": 0x1022, "ARCH_REQ_XCOMP_PERM": 0x1023}),),
    ),
    "prlimit64": ((Only(0, {"0": 0}),),),
    "kill": ((Own(0),),),
    "tgkill": ((Own(0),),),
}

# Those that open files, where there are files to change and where there are not.
OPEN_READING: dict[str, Ways] = {"open": ((Bits(1, _READS),),), "openat": ((Bits(2, _READS),),)}
OPEN_WRITING: dict[str, Ways] = {
    "open": ((Bits(1, _READS | _WRITES),),),
    "openat": ((Bits(2, _READS | _WRITES),),),
    "fallocate": ((Only(1, {"0": 0}),),),
}
