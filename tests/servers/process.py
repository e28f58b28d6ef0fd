"""Servers as child processes: started on free ports, gone with the tests whatever happens to these."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from archloop.ops.process import die_with_parent

_DEMANDS = ("CI", "ARCHLOOP_TESTS_REQUIRE_SERVERS")


class ServerMissing(Exception):
    """There is no such server to be had here, and why."""


@contextmanager
def required(what: str) -> Iterator[None]:
    """Skip, with the reason, whoever needs a server that cannot be had; fail where all must be there."""
    try:
        yield
    except ServerMissing as error:
        demanded = any(os.environ.get(name) not in {None, "", "0", "false"} for name in _DEMANDS)
        (pytest.fail if demanded else pytest.skip)(f"no {what.removeprefix('a ').removeprefix('an ')}: {error}")


@contextmanager
def started(
    command: Sequence[object], log: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The process, stopped at the end, with all that it says in `log`."""
    with log.open("wb") as output:
        # Pytest starts servers from its only thread.
        process = subprocess.Popen(
            [str(c) for c in command],
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )
    try:
        yield process
    finally:
        # What it holds is thrown away, so it need not be asked.
        process.kill()
        process.wait()


def wait_for(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    """Return once it is ready. Raises ServerMissing with the end of the log where it ends or takes too long."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-1000:]
            raise ServerMissing(f"{process.args!r} did not come up in {seconds:g} s: {said}")
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
