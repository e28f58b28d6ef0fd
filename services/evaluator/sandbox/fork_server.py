"""Starting the fork server, and sending it orders."""

import importlib
import importlib.util
import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path

from archloop.errors import ArchloopError, SandboxUnavailable, Unavailable
from services.evaluator.sandbox import kernel, libraries
from services.evaluator.sandbox.contents import PACKAGES
from services.evaluator.sandbox.wire import MESSAGE_LIMIT, Descriptors, JobOrder

_START_TIMEOUT_S = 300  # seconds of work, but a machine under load takes its time
_BOOT = """
import json, sys
path, arguments = json.loads(sys.argv.pop())
sys.path[:] = path
from services.evaluator.sandbox.server_main import main
main(**arguments)
"""

# The whole environment of the fork server; its children have none at all.
_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "0",  # sets of strings are iterated in the same order in every run
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Large activations stay in the heap instead of going back to the kernel at every step.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2),
    "MALLOC_TRIM_THRESHOLD_": str(4 * 1024**3),
    "MALLOC_ARENA_MAX": "1",
}

_OBSTACLES = (
    ("kernel.apparmor_restrict_unprivileged_userns", "1"),
    ("kernel.unprivileged_userns_clone", "0"),
    ("user.max_user_namespaces", "0"),
)


class ForkServer:
    """Running fork server, seen from the service."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        self._process, self._channel = process, channel

    @property
    def alive(self) -> bool:
        """Whether it can take another order; its end of the channel closes before its process is gone."""
        channel = select.poll()
        channel.register(self._channel, 0)
        return self._process.poll() is None and not channel.poll(0)

    @property
    def pid(self) -> int:
        """Process id of the process that was started."""
        return self._process.pid

    def greet(self) -> None:
        """Wait until the fork server is ready, some seconds.

        Raises SandboxUnavailable with what the machine refuses, Unavailable where it is merely too slow.
        """
        try:
            _greeting(self._channel)
        except ArchloopError:
            self.stop()
            raise

    def order(self, order: JobOrder, fds: Descriptors) -> None:
        """Have a job started. Raises Unavailable where the fork server is gone."""
        try:
            order.send(self._channel, fds)
        except OSError as error:
            raise Unavailable(f"the sandbox's fork server is gone: {error.strerror}") from error

    def stop(self) -> None:
        """End the fork server by closing its channel; what it started ends with it."""
        self._channel.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill the fork server at once, with every job."""
        self._process.kill()
        self._process.wait()


def launch(*, namespaces: bool, threads: int, gpu: bool = False) -> ForkServer:
    """Start a fork server, which is to be greeted before its first order. Raises SandboxUnavailable.

    Call it from a thread that lives as long as the service: the kernel kills the server when that thread ends.
    """
    require()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-c", _BOOT, _arguments(theirs.fileno(), namespaces=namespaces, gpu=gpu)],
            env={**_ENVIRONMENT, "OMP_THREAD_LIMIT": str(threads), **(_for_driver() if gpu else {})},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
    return ForkServer(process, ours)


def _for_driver() -> dict[str, str]:
    """Return where the loader is to look for a GPU's driver that its cache does not know."""
    given = os.environ.get("LD_LIBRARY_PATH", "")  # noqa: TID251 - the loader's own, from whoever started the service
    found = libraries.search_path(given)
    return {"LD_LIBRARY_PATH": found} if found else {}


def require() -> None:
    """Check what every level needs. Raises SandboxUnavailable that names what is missing."""
    kernel.require_linux()
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise SandboxUnavailable(f"the package {name} is missing: install archloop[evaluator]")
    importlib.import_module("services.evaluator.sandbox.seccomp")


def obstacles() -> str:
    """Name kernel settings of this machine that keep namespaces from ordinary users; empty if there are none."""
    found = [f"sysctl {name} is {bad}" for name, bad in _OBSTACLES if _sysctl(name) == bad]
    return f" ({', '.join(found)})" if found else ""


def _sysctl(name: str) -> str | None:
    path = Path("/proc/sys", *name.split("."))
    return path.read_text().strip() if path.exists() else None


def _arguments(channel: int, **how: bool) -> str:
    path = [os.path.realpath(entry) for entry in sys.path if entry]
    return json.dumps([path, {"channel_fd": channel, **how}])


def _greeting(channel: socket.socket) -> None:
    readable, _, _ = select.select([channel], [], [], _START_TIMEOUT_S)
    if not readable:
        raise Unavailable(f"the sandbox's fork server was not ready after {_START_TIMEOUT_S} s")
    answer = channel.recv(MESSAGE_LIMIT)
    if not answer:
        raise SandboxUnavailable("the fork server ended before it was ready; its stderr says why")
    failed = json.loads(answer).get("failed")
    if failed is not None:
        raise SandboxUnavailable(failed)
