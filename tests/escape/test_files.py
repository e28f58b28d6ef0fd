"""A candidate may write into its own small tmpfs, which nobody else sees and which goes with it."""

import pytest

from archloop.contracts.values import Outcome
from tests.escape.arena import MARK
from tests.unit.evaluator.support import good

pytestmark = pytest.mark.asyncio(loop_scope="session")

REFUSED = (Outcome.FORBIDDEN, Outcome.BUILD_ERROR)
# How the walls refuse: a read-only file system, Landlock, the filter of system calls.
WALLS = ("OSError: [Errno 30]", "PermissionError: [Errno 13]", "PermissionError: [Errno 1]")
ABSENT = "FileNotFoundError: [Errno 2]"
FULL = ("OSError: [Errno 27]", "OSError: [Errno 28]")


@pytest.mark.parametrize("folder", ["/", "/usr/lib", "/etc", "/dev", "/dev/shm", "/proc", "/var/tmp", "/tmp/.."])
async def test_no_folder_of_the_machine_can_be_written(arena, folder):
    told = await arena.contained(good(before=f"open('{folder}/{MARK}', 'w').write('x')"), *REFUSED)
    assert told.detail.startswith((*WALLS, ABSENT))


@pytest.mark.parametrize(
    "target", ["torch.__file__", "torch.__path__[0] + '/sitecustomize.py'", "__import__('os').__file__"]
)
async def test_no_library_can_be_changed(arena, target):
    code = good(before=f"import torch\nopen({target}, 'a').write('import evil')")
    told = await arena.contained(code, Outcome.FORBIDDEN)
    assert told.detail.startswith(WALLS)


async def test_its_scratch_is_its_own_and_empty_each_time(arena):
    before = f"""
import os
assert not [name for name in os.listdir() if "escape" in name]
open('{MARK}', 'w').write('x')
open('/tmp/{MARK}-2', 'w').write('x')
os.mkdir('{MARK}-3')
ran("written", open('{MARK}').read() + open('/tmp/{MARK}-2').read())
"""
    for _ in range(2):
        await arena.contained(good(before=before), Outcome.OK)
        assert arena.marks == {"written": "xx"}


@pytest.mark.parametrize(
    "fill",
    [f"open('{MARK}', 'wb').write(bytes(8 << 20))",
     f"[open('{MARK}-%d' % i, 'w').close() for i in range(100_000)]",
     f"f = open('{MARK}', 'wb'); f.truncate(1 << 40)",
     f"[open('{MARK}-%d' % i, 'wb').write(bytes(1 << 18)) for i in range(100)]",
     "[os.makedirs('/'.join('d' * 400)) or os.chdir('/'.join('d' * 400)) for _ in range(100)]"],
)  # fmt: skip
async def test_its_scratch_is_small(arena, fill):
    told = await arena.contained(good(before=f"import os\n{fill}"), Outcome.BUILD_ERROR)
    assert told.detail.startswith(FULL)


@pytest.mark.parametrize(
    ("trick", "refusal"),
    [(f"os.symlink('/usr/lib', 'a'); open('a/{MARK}', 'w')", WALLS),
     (f"os.symlink('/proc/self/root/etc', 'a'); open('a/{MARK}', 'w')", (*WALLS, ABSENT)),
     ("os.link('/etc/ld.so.cache', 'a'); open('a', 'w')", (*WALLS, "OSError: [Errno 18]")),
     ("os.rename('/etc/ld.so.cache', 'a')", (*WALLS, "OSError: [Errno 18]")),
     ("os.mkfifo('a')", WALLS),
     ("os.mknod('a', 0o600 | 0o060000, os.makedev(8, 0))", WALLS),
     ("os.chown('/tmp', 0, 0)", WALLS),
     ("os.chmod('/usr', 0o777)", WALLS),
     ("os.unlink('/dev/null')", WALLS),
     (f"open('../../../../../{MARK}', 'w')", WALLS)],
)  # fmt: skip
async def test_links_devices_and_detours_lead_nowhere(arena, trick, refusal):
    told = await arena.contained(good(before=f"import os\n{trick}"), *REFUSED)
    assert told.detail.startswith(refusal)


@pytest.mark.parametrize(
    ("attempt", "refusal"),
    [("__import__('multiprocessing.shared_memory').shared_memory.SharedMemory('x', True, 4096)", (*WALLS, ABSENT)),
     ("import os\nos.memfd_create('x')", WALLS),
     ("import torch\ntorch.zeros(4).share_memory_()", ("RuntimeError: unable to open shared memory object",))],
)  # fmt: skip
async def test_shared_memory_has_no_home(arena, attempt, refusal):
    told = await arena.contained(good(before=attempt), *REFUSED)
    assert told.detail.startswith(refusal)
