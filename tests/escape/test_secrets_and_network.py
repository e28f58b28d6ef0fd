"""What a candidate may know of the machine, and whom it may talk to: nothing, nobody."""

from pathlib import Path

import pytest

from archloop.contracts.values import Outcome
from services.evaluator.sandbox.contents import needed
from tests.unit.evaluator.support import good

pytestmark = pytest.mark.asyncio(loop_scope="session")


def telling(expression: str) -> str:
    """A network that, when it is imported, fails with what the expression found."""
    return good(before=f"import os\nraise ValueError('found ' + repr({expression}))")


async def test_the_environment_holds_nothing_but_that_there_is_no_compiler(arena):
    told = await arena.contained(telling("dict(os.environ)"), Outcome.BUILD_ERROR)
    assert told.detail.startswith("ValueError: found {'TORCHDYNAMO_DISABLE': '1'} ")


async def test_the_c_librarys_environment_is_empty_too(arena):
    look = "__import__('ctypes').CDLL(None).getenv(b'ARCHLOOP_BUS_PASSWORD')"
    told = await arena.contained(telling(look), Outcome.BUILD_ERROR)
    assert "found 0" in told.detail


@pytest.mark.parametrize(
    "path",
    ["/proc/1/environ", "/proc/self/environ", "/proc/self/mem", "/proc/self/maps", "/etc/shadow", "/etc/passwd",
     "/root/.ssh/id_rsa", "/var/run/secrets/kubernetes.io", "/var/run/docker.sock", "/sys/kernel/notes"],
)  # fmt: skip
async def test_a_file_of_the_machine_is_not_there(arena, path):
    told = await arena.contained(good(before=f"open({path!r}, 'rb').read()"), Outcome.BUILD_ERROR, Outcome.FORBIDDEN)
    assert told.detail.startswith(("FileNotFoundError", "PermissionError"))


async def test_the_root_directory_leads_to_libraries_only(arena):
    mounted = needed()
    ways = {Path(path).parts[1] for path in (*mounted.shown, *mounted.links)}
    leading = ways | {"dev", "etc", "proc", "tmp", "stage"}
    told = await arena.contained(telling(f"set(os.listdir('/')) - {leading!r}"), Outcome.BUILD_ERROR)
    assert "found set()" in told.detail


async def test_there_is_no_other_process_to_look_at(arena):
    told = await arena.contained(telling("(os.getpid(), os.getppid(), os.listdir('/proc'))"), Outcome.BUILD_ERROR)
    assert "found (1, 0, ['cpuinfo'])" in told.detail


async def test_it_is_not_root_and_cannot_become_it(arena):
    told = await arena.contained(
        telling("0 in (os.getuid(), os.geteuid(), os.getgid(), os.getegid())"), Outcome.BUILD_ERROR
    )
    assert "found False" in told.detail
    await arena.contained(good(before="import os\nos.setuid(0)"), Outcome.FORBIDDEN)


async def test_only_the_descriptors_that_it_needs_are_open(arena):
    look = """
import os
found = []
for fd in range(64):
    try:
        os.fstat(fd)
        found.append(fd)
    except OSError:
        pass
raise ValueError("found " + repr(found))
"""
    told = await arena.contained(good(before=look), Outcome.BUILD_ERROR)
    assert "found [0, 1, 2, 3] " in told.detail


async def test_no_held_out_label_is_in_its_memory(arena):
    look = """
import gc, numpy, torch
arrays = [o for o in gc.get_objects() if isinstance(o, (numpy.ndarray, torch.Tensor))]
sizes = {len(o) for o in arrays if o.ndim == 1 and "int64" in str(o.dtype)}
raise ValueError("found " + repr(sorted(sizes)))
"""
    told = await arena.contained(good(before=look), Outcome.BUILD_ERROR)
    assert "120" not in told.detail
    assert "80" not in told.detail


@pytest.mark.parametrize(
    "attempt",
    ["s.socket(s.AF_INET, s.SOCK_STREAM).connect(('127.0.0.1', 5672))",
     "s.socket(s.AF_INET, s.SOCK_DGRAM).sendto(b'x', ('169.254.169.254', 80))",
     "s.socket(s.AF_INET6, s.SOCK_STREAM)",
     "s.socket(s.AF_UNIX, s.SOCK_STREAM).connect('/var/run/docker.sock')",
     "s.socket(s.AF_UNIX, s.SOCK_STREAM).connect(chr(0) + 'bus')",
     "s.socket(s.AF_NETLINK, s.SOCK_RAW)",
     "s.socket(s.AF_INET, s.SOCK_RAW, 1)",
     "s.socketpair()"],
)  # fmt: skip
async def test_a_socket_of_any_kind_is_refused(arena, attempt):
    told = await arena.contained(good(before=f"s = __import__('socket')\n{attempt}"), Outcome.FORBIDDEN)
    assert told.detail.startswith("PermissionError")


async def test_a_name_is_not_resolved(arena):
    code = good(before="__import__('socket').getaddrinfo('example.org', 80)")
    await arena.contained(code, Outcome.BUILD_ERROR, Outcome.FORBIDDEN)


async def test_a_refusal_that_it_swallows_does_it_no_good(arena):
    code = good(before="try:\n    __import__('socket').socket()\nexcept OSError:\n    pass")
    await arena.contained(code, Outcome.OK)
