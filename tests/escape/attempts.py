"""System calls with the arguments of attacks: made in the sandbox, and for comparison outside of it.

Each says in a mark of its own which errno came back, 0 for success.
"""

from textwrap import indent

PRELUDE = """
import os
ctypes, signal = __import__("ctypes"), __import__("signal")
signal.signal(signal.SIGIO, signal.SIG_IGN)
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
ROOM = ctypes.create_string_buffer(4096)

def errno_of(result):
    return ctypes.get_errno() if result < 0 else 0

def call(number, *arguments):
    ctypes.set_errno(0)
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return errno_of(libc.syscall(ctypes.c_long(number), *wide))

def control(command, argument=0, fd=None):
    return call(72, FILE if fd is None else fd, command, argument)

def mapped(flags, fd=-1, protection=3):
    ctypes.set_errno(0)
    address = libc.mmap(None, 1 << 21, protection, flags, fd, 0)
    return errno_of(-1 if address == ctypes.c_void_p(-1).value else 0)

def advised(advice):
    return call(28, PAGE, 4096, advice)

def lock(kind=0):
    return ctypes.create_string_buffer(__import__("struct").pack("=hhqqi4x", kind, 0, 0, 1, 0), 32)

FILE = os.open(PATH, os.O_RDONLY)
FOLDER = os.open(os.path.dirname(PATH), os.O_RDONLY)
PIPE = os.pipe()
PAGE = libc.mmap(None, 4096, 1, 1, FILE, 0)
PARENT = os.getppid() or 4321
"""

COMMANDS_OF_FCNTL = {
    "setown": "control(8, os.getpid())",
    "setown_of_a_thread": "control(15, ctypes.byref((ctypes.c_int * 2)(0, os.getpid())))",
    "setsig": "control(10, 40)",
    "notify": "control(1026, 1, FOLDER)",
    "lease": "control(1024, 0)",
    "posix_lock": "control(6, lock())",
    "ofd_lock": "control(37, lock())",
    "posix_lock_asked_for": "control(5, lock(1))",
    "size_of_a_pipe": "control(1031, 1 << 20, PIPE[1])",
    "hint_on_a_file": "control(1036, ctypes.create_string_buffer(b'\\x02' + bytes(7), 8))",
    "signals_for_input": "control(4, 0x2000, PIPE[0])",
    "signals_by_ioctl": "call(16, PIPE[0], 0x5452, ctypes.byref(ctypes.c_int(1)))",
    "flags_of_a_file": "call(16, FILE, 0x80086601, ROOM)",
}

PAGE_CACHE = {
    "fadvise_dontneed": "call(221, FILE, 0, 0, 4)",
    "fadvise_willneed": "call(221, FILE, 0, 0, 3)",
    "fadvise_random": "call(221, FILE, 0, 0, 1)",
    "readahead": "call(187, FILE, 0, 4096)",
    "preadv2_nowait": "call(327, FILE, ctypes.byref((ctypes.c_size_t * 2)(ctypes.addressof(ROOM), 1)), 1, 0, 0, 8)",
    "mincore": "call(27, PAGE, 4096, ROOM)",
    "cachestat": "call(451, FILE, ctypes.byref((ctypes.c_uint64 * 2)(0, 0)), ROOM, 0)",
    "sync_file_range": "call(277, FILE, 0, 0, 0)",
    "madvise_willneed": "advised(3)",
    "madvise_random": "advised(1)",
    "madvise_cold": "advised(20)",
    "madvise_pageout": "advised(21)",
    "madvise_populate_read": "advised(22)",
    "mmap_populate": "mapped(0x8002, FILE, 1)",
    "open_direct": "call(257, -100, os.fsencode(PATH), 0x4000)",
    "splice": "call(275, FILE, None, PIPE[1], None, 1, 0)",
    "sendfile": "call(40, PIPE[1], FILE, None, 1)",
}

NEIGHBOURS = {
    "flock": "call(73, FILE, 1 | 4)",
    "sysinfo": "call(99, ROOM)",
    "statfs": "call(137, os.fsencode(PATH), ROOM)",
    "fstatfs": "call(138, FILE, ROOM)",
    "cpu_clock_of_another": "call(228, ~PARENT << 3 | 2, ROOM)",
    "priority_of_another": "call(140, 0, PARENT)",
    "scheduler_of_another": "call(145, PARENT)",
    "session_of_another": "call(124, PARENT)",
    "group_of_another": "call(121, PARENT)",
    "limits_of_another": "call(302, PARENT, 7, None, ROOM)",
    "capabilities_of_another": "call(125, ctypes.byref((ctypes.c_uint32 * 2)(0x20080522, PARENT)), ROOM)",
    "barriers_everywhere": "call(324, 1, 0)",
    "sync": "call(162)",
}

BEYOND_LIMITS = {
    "huge_pages": "mapped(0x40022)",
    "locked_pages": "mapped(0x2022)",
    "mlock": "call(149, ROOM, 4096)",
    "merged_pages": "advised(12)",
    "notification_pipe": "call(293, ROOM, 0x80)",
    "packet_pipe": "call(293, ROOM, 0x4000)",
    "descriptors_of_ones_own": "call(436, 900, 901, 2)",
    "epoll": "call(291, 0)",
    "eventfd": "call(290, 0, 0)",
    "memory_file": "call(319, b'x', 0)",
    "named_memory": "call(157, 0x53564D41, 0, PAGE, 4096, b'x')",
}

ALL = COMMANDS_OF_FCNTL | PAGE_CACHE | NEIGHBOURS | BEYOND_LIMITS


def program(path: str) -> str:
    """Statements that make them all; `path` is an expression for a file to try them on."""
    tries = "\n".join(f"ran({name!r}, {attempt})" for name, attempt in ALL.items())
    return f"PATH = {path}\n{PRELUDE}\n{tries}\n"


def outside(path: str) -> str:
    """The same as a program of its own, which prints a line for each mark."""
    return f"def ran(what, value=''):\n{indent('print(what, value)', '    ')}\n{program(repr(path))}"
