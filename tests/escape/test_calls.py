"""Calls of which a command is meant: the others are refused, at every level, and it is the filter that refuses them."""

import errno
import platform
import subprocess
import sys

import pytest
import pytest_asyncio

from tests.escape import attempts
from tests.unit.evaluator.support import good

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="system call numbers of x86-64")

# What a kernel says that has no such thing, or none to give.
_ABSENT = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOMEM, errno.EAGAIN, errno.ENOPKG, errno.EINVAL)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def refusals(somewhere):
    ((told, marks),) = await somewhere.tried(good(before="import torch\n" + attempts.program("torch.__file__")))
    assert told.outcome == "ok", told
    return {name: int(number) for name, number in marks.items()}


@pytest.fixture(scope="module")
def freely(tmp_path_factory):
    """What the same calls answer outside, as the same program."""
    file = tmp_path_factory.mktemp("free") / "file"
    file.write_bytes(bytes(8192))
    command = [sys.executable, "-c", attempts.outside(str(file))]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name: int(number) for name, number in map(str.split, lines)}


@pytest.mark.parametrize("name", attempts.ALL)
def test_it_is_refused(refusals, name):
    assert refusals[name] == errno.EPERM


@pytest.mark.parametrize("name", attempts.ALL)
def test_outside_it_is_not(freely, name):
    assert freely[name] == 0 or freely[name] in _ABSENT
