"""The kernel's own doors: every one an attack would try ends the process."""

import platform

import pytest

from archloop.contracts.values import Outcome
from tests.unit.evaluator.support import good

X86_64 = {
    "ptrace": 101, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308,
    "bpf": 321, "keyctl": 250, "add_key": 248, "request_key": 249, "userfaultfd": 323, "perf_event_open": 298,
    "process_vm_readv": 310, "process_vm_writev": 311, "open_by_handle_at": 304, "init_module": 175, "reboot": 169,
    "io_uring_setup": 425, "kexec_load": 246, "iopl": 172, "swapon": 167, "fsopen": 430, "move_mount": 429,
    "pidfd_getfd": 438, "kcmp": 312,
}  # fmt: skip
REFUSED = {"socket": 41, "execve": 59, "memfd_create": 319, "shmget": 29, "mq_open": 240, "setuid": 105, "clone3": 435,
           "personality": 135, "pidfd_open": 434, "seccomp": 317, "landlock_restrict_self": 446, "mknod": 133,
           "inotify_init": 253, "fanotify_init": 300, "name_to_handle_at": 303, "sched_setaffinity": 203}  # fmt: skip

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="system call numbers of x86-64"),
]


@pytest.mark.parametrize("name", X86_64)
async def test_a_system_call_of_attacks_ends_the_process(arena, name):
    call = f"__import__('ctypes').CDLL(None).syscall({X86_64[name]}, 0, 0, 0, 0, 0)"
    told = await arena.contained(good(before=f"try:\n    {call}\nexcept BaseException:\n    pass"), Outcome.FORBIDDEN)
    assert told.detail == "made a system call that no network needs"


async def test_other_system_calls_are_refused(arena):
    attempt = f"""
errno = __import__('errno')
ctypes = __import__('ctypes')
libc = ctypes.CDLL(None, use_errno=True)
for name, number in {REFUSED!r}.items():
    result = libc.syscall(number, 0, 0, 0, 0, 0)
    assert result == -1 and ctypes.get_errno() in (errno.EPERM, errno.ENOSYS), (name, result, ctypes.get_errno())
    ran(f"refused_{{name}}")
ran("through")
"""
    await arena.contained(good(before=attempt), Outcome.OK)
    assert arena.marks.keys() == {f"refused_{name}" for name in REFUSED} | {"through"}


async def test_the_32_bit_door_is_shut(arena):
    machine_code = bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3])  # mov eax, 20 (getpid); int 0x80; ret
    attempt = f"""
ctypes, mmap = __import__('ctypes'), __import__('mmap')
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write({machine_code!r})
ran("written")
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""
    await arena.contained(good(before=attempt), Outcome.FORBIDDEN, Outcome.CRASHED)
