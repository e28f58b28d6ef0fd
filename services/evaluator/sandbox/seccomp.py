"""The system calls that training a network on a CPU needs, and no others (seccomp(2), through libseccomp).

An allow-list, because a deny-list forgets. What is not on it fails with EPERM, which libraries that merely probe
survive; what only an attack calls kills the process with SIGSYS, which no `except` hides.
"""

import errno
import os
from contextlib import suppress
from functools import cache

from archloop.errors import SandboxUnavailable
from services.evaluator.sandbox import kernel

try:
    import pyseccomp as libseccomp
except RuntimeError as error:  # the C library that the package binds is not there
    raise SandboxUnavailable(
        "libseccomp.so.2 is missing: install the package libseccomp2 (Debian) or libseccomp (Fedora, Alpine)"
    ) from error

_ALLOWED = """
    read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek close close_range
    dup dup2 dup3 fcntl flock pipe pipe2 eventfd2 poll ppoll select pselect6
    epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait sendfile copy_file_range
    stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat
    getcwd chdir fchdir getdents getdents64 umask fadvise64 fsync fdatasync
    mmap mprotect munmap mremap madvise msync mincore brk membarrier mlock munlock
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack pause
    alarm setitimer getitimer nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times
    futex futex_waitv set_robust_list get_robust_list rseq set_tid_address arch_prctl restart_syscall
    sched_yield sched_getaffinity sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min
    getpid gettid getppid getuid geteuid getgid getegid getresuid getresgid getgroups getpgrp getpgid getsid
    getrusage getrlimit getcpu getrandom uname sysinfo wait4 waitid capget
    exit exit_group
"""

# Where there is a private tmpfs to change; elsewhere files are opened to be read, and no more.
_CHANGES_FILES = """
    open openat mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat
    truncate ftruncate fallocate chmod fchmod fchmodat utimensat utime utimes
"""

# No library calls these on the way to something honest.
_ATTACKS = """
    ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd
    mount umount2 pivot_root chroot move_mount open_tree fsopen fsmount fsconfig mount_setattr
    unshare setns bpf userfaultfd perf_event_open keyctl add_key request_key open_by_handle_at
    kexec_load kexec_file_load init_module finit_module delete_module reboot swapon swapoff
    iopl ioperm acct quotactl io_uring_setup io_uring_enter io_uring_register
    settimeofday clock_settime setdomainname sethostname
"""

_CLONE_THREAD = 0x00000100 | 0x00000800 | 0x00010000  # CLONE_VM | CLONE_SIGHAND | CLONE_THREAD
_PRCTL = (15, 16, 0x53564D41)  # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA: what the C library asks for
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONCLEX, FIOCLEX
_WRITE_FLAGS = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC


def confine(*, may_write: bool, more: str = "") -> None:
    """Load the filter for this process and its threads, for good.

    `may_write`: whether it has files to change. `more`: names of further calls that this child needs.
    """
    kernel.filter_system_calls(program(may_write=may_write, more=more, pid=os.getpid()))


@cache
def program(*, may_write: bool, more: str, pid: int) -> bytes:
    """The filter for the process of that number, as the kernel takes it (BPF).

    Writing it takes milliseconds, so the fork server has it ready for children who are all number 1, each in a
    namespace of its own.
    """
    rules = libseccomp.SyscallFilter(defaction=libseccomp.ERRNO(errno.EPERM))
    rules.set_attr(libseccomp.Attr.ACT_BADARCH, libseccomp.KILL_PROCESS)
    rules.set_attr(libseccomp.Attr.CTL_OPTIMIZE, 2)
    _add(rules, libseccomp.KILL_PROCESS, _ATTACKS)
    _add(rules, libseccomp.ALLOW, f"{_ALLOWED} {more}")
    # Its flags lie in memory where a filter cannot look; without it the C library falls back to clone.
    rules.add_rule(libseccomp.ERRNO(errno.ENOSYS), "clone3")
    _allow_some(rules, pid)
    _allow_files(rules, may_write=may_write)
    return _exported(rules)


def _exported(rules: "libseccomp.SyscallFilter") -> bytes:
    """Through a pipe, which no limit on file sizes forbids; a program has 4,096 instructions at most, so it fits."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with os.fdopen(reader, "rb") as source:
        with os.fdopen(writer, "wb") as sink:
            rules.export_bpf(sink)
        return source.read()


def _allow_some(rules: "libseccomp.SyscallFilter", pid: int) -> None:
    """Calls that are harmless with certain arguments only."""
    arg, allow = libseccomp.Arg, libseccomp.ALLOW
    rules.add_rule(allow, "clone", arg(0, libseccomp.MASKED_EQ, _CLONE_THREAD, _CLONE_THREAD))
    rules.add_rule(allow, "prlimit64", arg(0, libseccomp.EQ, 0))
    for name in ("kill", "tgkill"):
        rules.add_rule(allow, name, arg(0, libseccomp.EQ, pid))
    for option in _PRCTL:
        rules.add_rule(allow, "prctl", arg(0, libseccomp.EQ, option))
    for request in _IOCTL:
        rules.add_rule(allow, "ioctl", arg(1, libseccomp.EQ, request))


def _allow_files(rules: "libseccomp.SyscallFilter", *, may_write: bool) -> None:
    if may_write:
        _add(rules, libseccomp.ALLOW, _CHANGES_FILES)
        return
    for name, position in (("open", 1), ("openat", 2)):
        reads_only = libseccomp.Arg(position, libseccomp.MASKED_EQ, _WRITE_FLAGS, os.O_RDONLY)
        rules.add_rule(libseccomp.ALLOW, name, reads_only)


def _add(rules: "libseccomp.SyscallFilter", action: int, names: str) -> None:
    """A name that this library does not know is of another architecture or kernel: EPERM is then the safe answer."""
    for name in names.split():
        with suppress(OSError):
            rules.add_rule(action, name)


def size() -> int:
    """How many system calls are allowed in some form."""
    return len(_ALLOWED.split()) + len(_CHANGES_FILES.split())
