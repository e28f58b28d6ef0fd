"""The filter, run on calls that are never made: which go through, which are refused, which kill."""

import errno
import fcntl
import os
import platform
import struct

import pyseccomp as libseccomp
import pytest

from services.evaluator.sandbox import calls, seccomp

PID = 1
ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM = 0x00050000 | errno.EPERM
X86_64 = 0xC000003E
SIGN = 1 << 64

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="system call numbers of x86-64")


def filtered(name: str, *arguments: int, may_write: bool = True, on_gpu: bool = False) -> int:
    """What the filter says of one call, as the kernel would run it (classic BPF)."""
    number = libseccomp.resolve_syscall(libseccomp.Arch.NATIVE, name)
    assert number >= 0, name
    values = [argument % SIGN for argument in (*arguments, *[0] * (6 - len(arguments)))]
    data = struct.pack("<iIQ6Q", number, X86_64, 0, *values)
    return run(seccomp.program(may_write=may_write, on_gpu=on_gpu, pid=PID), data)


def run(program: bytes, data: bytes) -> int:
    """Loads, masks, jumps and returns: all that libseccomp writes."""
    code = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    accumulator, at = 0, 0
    while True:
        operation, if_true, if_false, k = code[at]
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, k)
            case 0x54:
                accumulator &= k
            case 0x05:
                at += k
            case 0x15 | 0x25 | 0x35:
                true = {0x15: accumulator == k, 0x25: accumulator > k, 0x35: accumulator >= k}[operation]
                at += if_true if true else if_false
            case 0x06:
                return k
            case _:
                raise AssertionError(hex(operation))


HONEST = [
    ("read", 3), ("write", 1), ("openat", -100, 0, os.O_RDONLY | os.O_CLOEXEC),
    ("openat", -100, 0, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC),
    ("openat", -100, 0, os.O_RDWR | os.O_EXCL | os.O_TMPFILE),
    ("openat", -100, 0, os.O_RDONLY | os.O_NONBLOCK | os.O_DIRECTORY | os.O_CLOEXEC),
    ("fcntl", 3, fcntl.F_DUPFD_CLOEXEC, 0), ("fcntl", 3, fcntl.F_GETFL), ("fcntl", 3, fcntl.F_SETFD, 1),
    ("fcntl", 3, fcntl.F_SETFL, os.O_RDWR | 0x8000 | os.O_NONBLOCK), ("ioctl", 3, 0x5401),
    ("mmap", 0, 4096, 3, 0x22, -1), ("mmap", 0, 4096, 7, 0x22, -1), ("mmap", 0, 4096, 0, 0x20022, -1),
    ("mmap", 0, 4096, 5, 0x812, 3), ("mprotect", 0, 4096, 7), ("madvise", 0, 4096, 4), ("madvise", 0, 4096, 14),
    ("mremap", 0, 1, 2, 1), ("clone", 0x3D0F00), ("futex", 0, 0x81, 1), ("futex", 0, 0x189, 0), ("futex", 0, 0x80, 0),
    ("futex", 0, 0x109, 0), ("clock_gettime", 1), ("clock_nanosleep", 1, 1), ("prctl", 15), ("prlimit64", 0, 7),
    ("kill", PID, 6), ("tgkill", PID, 7, 6), ("lseek", 3, 0, 2), ("pipe2", 0, os.O_CLOEXEC), ("arch_prctl", 0x1023, 18),
]  # fmt: skip


@pytest.mark.parametrize("call", HONEST, ids=str)
def test_what_networks_need_goes_through(call):
    assert filtered(*call) == ALLOW


@pytest.mark.parametrize("call", HONEST, ids=str)
def test_and_on_a_gpu_too(call):
    assert filtered(*call, on_gpu=True) == ALLOW


O_DIRECT, O_ASYNC, O_NOATIME, O_PATH = 0x4000, 0x2000, 0x40000, 0x200000
OF_A_FILE = {
    "F_GETLK": 5, "F_SETLK": 6, "F_SETLKW": 7, "F_SETOWN": 8, "F_GETOWN": 9, "F_SETSIG": 10, "F_GETSIG": 11,
    "F_SETOWN_EX": 15, "F_GETOWN_EX": 16, "F_OFD_GETLK": 36, "F_OFD_SETLK": 37, "F_OFD_SETLKW": 38,
    "F_SETLEASE": 1024, "F_GETLEASE": 1025, "F_NOTIFY": 1026, "F_SETPIPE_SZ": 1031, "F_GETPIPE_SZ": 1032,
    "F_ADD_SEALS": 1033, "F_GET_SEALS": 1034, "F_GET_RW_HINT": 1035, "F_SET_RW_HINT": 1036, "F_SET_FILE_RW_HINT": 1038,
}  # fmt: skip
COMMANDS = {
    **{name: ("fcntl", 3, command) for name, command in OF_A_FILE.items()},
    "F_NOTIFY in the upper half": ("fcntl", 3, 1026 + (1 << 32)),
    "F_DUPFD in the upper half": ("fcntl", 3, 1 << 32),
    **{f"F_SETFL {flag:#x}": ("fcntl", 3, 4, os.O_RDWR | flag) for flag in (O_DIRECT, O_ASYNC, O_NOATIME)},
    **{f"open {flag:#x}": ("open", 0, flag) for flag in (O_DIRECT, O_ASYNC, O_NOATIME, O_PATH)},
    **{f"openat {flag:#x}": ("openat", 0, 0, os.O_RDWR | flag) for flag in (O_DIRECT, O_ASYNC, O_NOATIME, O_PATH)},
    **{f"mmap {flag:#x}": ("mmap", 0, 4096, 3, 0x22 | flag, -1) for flag in (0x40000, 0x2000, 0x8000, 0x80000, 0x100)},
    "mmap with protection keys' bits": ("mmap", 0, 4096, 1 << 24, 0x22, -1),
    "mmap in the upper half": ("mmap", 0, 4096, 3, 0x22 | 1 << 40, -1),
    **{f"madvise {advice}": ("madvise", 0, 4096, advice) for advice in (0, 1, 2, 3, 9, 10, 12, 16, 18, 20, 21, 22, 23)},
    **{f"madvise {advice}, of poison and huge pages": ("madvise", 0, 4096, advice) for advice in (25, 100, 101)},
    **{f"futex {operation}": ("futex", 0, operation) for operation in (2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 134, 139, 140)},
    **{f"clone {flags:#x}": ("clone", flags) for flags in (17, 0x4111, 0x3D0B00, 0x3D0F00 | 1 << 28, 1 << 33)},
    "a process's CPU clock": ("clock_gettime", ~4321 << 3 | 2),
    "a thread's CPU clock": ("clock_gettime", ~4321 << 3 | 6),
    "a device's clock": ("clock_gettime", ~3 << 3 | 3),
    "sleeping on a CPU clock": ("clock_nanosleep", 2),
    "memory named": ("prctl", 0x53564D41),
    "no more dumps": ("prctl", 4),
    "timer slack": ("prctl", 29),
    "speculation": ("prctl", 53),
    "others' limits": ("prlimit64", 4321, 7),
    "another's death": ("kill", 2, 9),
    "a group's death": ("kill", -PID, 9),
    "everybody's death": ("kill", -1, 9),
    "another's thread": ("tgkill", 2, 2, 9),
    "a pipe of packets": ("pipe2", 0, O_DIRECT),
    "a notification pipe": ("pipe2", 0, os.O_EXCL),
    "holes": ("lseek", 3, 0, 3),
    "FIOSETOWN": ("ioctl", 3, 0x8901),
    "FIOASYNC": ("ioctl", 3, 0x5452),
    "TIOCSTI": ("ioctl", 3, 0x5412),
    "FICLONE": ("ioctl", 3, 0x40049409),
    "FS_IOC_GETFLAGS": ("ioctl", 3, 0x80086601),
    "the thread pointer": ("arch_prctl", 0x1002),
    "punching holes": ("fallocate", 3, 3),
    "two mappings of one page": ("mremap", 0, 0, 4096, 3),
}  # fmt: skip


@pytest.mark.parametrize("call", COMMANDS.values(), ids=COMMANDS)
def test_commands_that_no_network_needs_are_refused(call):
    assert filtered(*call) == EPERM


OF_DRIVERS = ("ioctl", "madvise 10")
STILL_REFUSED = {name: call for name, call in COMMANDS.items() if call[0] not in OF_DRIVERS and name not in OF_DRIVERS}


@pytest.mark.parametrize("call", STILL_REFUSED.values(), ids=STILL_REFUSED)
def test_and_on_a_gpu(call):
    assert filtered(*call, on_gpu=True) == EPERM


WHOLE_CALLS = """
    flock fadvise64 readahead preadv2 pwritev2 mincore sync_file_range sendfile copy_file_range splice vmsplice tee
    sysinfo statfs fstatfs membarrier mlock munlock mlockall sync syncfs inotify_init1 fanotify_init socket socketpair
    fork vfork execve execveat memfd_create shmget msgget semget mq_open timer_create timerfd_create signalfd4
    eventfd2 epoll_create1 getpriority setpriority sched_setaffinity sched_setscheduler sched_setattr set_tid_address
    pidfd_open pidfd_send_signal rt_sigqueueinfo tkill setsid setuid personality seccomp landlock_create_ruleset
    name_to_handle_at mknod openat2 epoll_pwait2 process_madvise remap_file_pages pkey_mprotect modify_ldt getpgid
"""


@pytest.mark.parametrize("name", WHOLE_CALLS.split())
def test_calls_that_no_network_needs_are_refused(name):
    assert filtered(name) == EPERM


@pytest.mark.parametrize("name", calls.ATTACKS.split())
def test_calls_of_attacks_kill(name):
    assert filtered(name) == KILL


@pytest.mark.parametrize("name", [*calls.PRETENDED.split(), *calls.UNSUPPORTED.split(), "clone3"])
def test_some_are_answered_without_being_done(name):
    code = {"clone3": errno.ENOSYS}.get(name, errno.EOPNOTSUPP if name in calls.UNSUPPORTED else 0)
    assert filtered(name) == 0x00050000 | code


CHANGES = [("openat", 0, 0, flag) for flag in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_TMPFILE)]


@pytest.mark.parametrize(
    "call", [*CHANGES, *((name,) for name in calls.CHANGES_FILES.split()), ("fallocate",)], ids=str
)
def test_without_files_of_its_own_it_changes_none(call):
    assert filtered(*call) == ALLOW
    assert filtered(*call, may_write=False) == EPERM


@pytest.mark.parametrize(
    ("request_number", "expected"),
    [(0xC020462A, ALLOW), (0xC00446C8, ALLOW), (0x30000001, ALLOW), (75, ALLOW), (0x5401, ALLOW), (0x8901, EPERM),
     (0x5452, EPERM), (0x5412, EPERM), (200, EPERM), (0x40049409, EPERM), (0xC0186201, EPERM)],
)  # fmt: skip
def test_the_drivers_requests_are_told_from_others(request_number, expected):
    assert filtered("ioctl", 3, request_number, on_gpu=True) == expected


@pytest.mark.parametrize(("flags", "expected"), [(0, ALLOW), (3, ALLOW), (4, EPERM), (5, EPERM), (1 << 26 | 4, EPERM)])
def test_memory_files_have_no_huge_pages(flags, expected):
    assert filtered("memfd_create", 0, flags, on_gpu=True) == expected


def test_no_call_is_in_two_lists():
    lists = (
        seccomp.whole(on_gpu=True),
        calls.PRETENDED,
        calls.UNSUPPORTED,
        calls.ATTACKS,
        " ".join(seccomp.some(on_gpu=True)),
    )
    names = " ".join(lists).split()
    assert sorted(names) == sorted(set(names))


def test_every_name_is_one_that_this_machine_has():
    unknown = [
        n for n in seccomp.whole(on_gpu=True).split() if libseccomp.resolve_syscall(libseccomp.Arch.NATIVE, n) < 0
    ]
    assert unknown == []
