"""A RabbitMQ broker of the tests' own, on loopback, in a folder that goes with it."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.servers.process import ServerMissing, free_ports, required, started, wait_for

_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_CONTROL = _PROGRAM.with_name("rabbitmqctl")
# Erlang's processes leave their group and outlive it; in a pid namespace of their own they die with its first.
_WHOLE = ["unshare", "--fork", "--pid", "--kill-child", *([] if os.geteuid() == 0 else ["--map-root-user"])]
_CONFIG = """
listeners.tcp.default = 127.0.0.1:{port}
log.file.level = warning
load_definitions = {definitions}
vm_memory_high_watermark.absolute = 2GB
disk_free_limit.absolute = 50MB
"""
_USER, _PASSWORD = "test", "secret"
_EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}
_SHARED, _ROOMS = "/", 40


class RabbitMQ:
    """Start, kill, and start again on the same data.

    `url` leads to the virtual host that was entered last. All of them come with it: to make one takes seconds.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._log = folder, folder / "output"
        self.port, self._dist, self._epmd = free_ports(3)
        self._running = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._rooms = (f"room-{number}" for number in range(_ROOMS))
        self.vhost = _SHARED
        definitions = folder / "definitions.json"
        definitions.write_text(json.dumps(_definitions([_SHARED, *(f"room-{number}" for number in range(_ROOMS))])))
        (folder / "rabbitmq.conf").write_text(_CONFIG.format(port=self.port, definitions=definitions))
        (folder / "plugins").write_text("[].\n")

    @property
    def url(self) -> str:
        return self._url(self.vhost)

    @property
    def shared_url(self) -> str:
        """Of the virtual host that is everybody's."""
        return self._url(_SHARED)

    def room(self) -> str:
        """The URL of a virtual host that nobody has used."""
        return self._url(next(self._rooms))

    def enter(self) -> None:
        """Be, from now on, as a broker that nobody has used."""
        self.vhost = next(self._rooms)

    def _url(self, vhost: str) -> str:
        return f"amqp://{_USER}:{_PASSWORD}@127.0.0.1:{self.port}/{vhost.removeprefix('/')}"

    def start(self) -> None:
        """From the main thread: it dies with the thread that starts it."""
        self._process = self._running.enter_context(started([*_WHOLE, _PROGRAM], self._log, env=self._env()))

    def wait(self) -> None:
        """Until it answers. Raises ServerMissing where it does not come up."""
        assert self._process is not None
        wait_for(self._answers, self._process, self._log, 110)

    def kill(self) -> None:
        """SIGKILL the whole of it; the data stay."""
        self._running.close()

    def revive(self) -> None:
        """Start it again if a test that failed left it dead."""
        if not self._answers():
            self.kill()
            self.start()
            self.wait()

    def control(self, *arguments: str) -> str:
        """What an operator does by rabbitmqctl; what it prints."""
        command = [str(_CONTROL), "--quiet", *arguments]
        return subprocess.run(command, env=self._env(), capture_output=True, text=True, check=True, timeout=60).stdout

    def alarm(self, resource: str, *, on: bool, once: Path | None = None) -> None:
        """Short of `memory` or `disk`, as its own monitors would have it; `once` that file is there, within 0.1 s."""
        source = f"{{resource_limit, {resource}, node()}}"
        turn = f"rabbit_alarm:set_alarm({{{source}, []}})" if on else f"rabbit_alarm:clear_alarm({source})"
        if once is not None:
            wait = f'case filelib:is_file("{once}") of true -> {turn}; false -> timer:sleep(100), Again() end'
            turn = f"spawn(fun Again() -> {wait} end)"
        self.control("eval", f"{turn}.")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def _env(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "RABBITMQ_NODENAME": f"rabbit{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": folder,
            "RABBITMQ_LOG_BASE": folder,
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd),
            "RABBITMQ_DIST_PORT": str(self._dist),
        }


def _definitions(vhosts: Sequence[str]) -> dict[str, Any]:
    """A user who may do everything, in each of the virtual hosts."""
    return {
        "users": [{"name": _USER, "password": _PASSWORD, "tags": "administrator"}],
        "vhosts": [{"name": name} for name in vhosts],
        "permissions": [{"user": _USER, "vhost": name, **_EVERYTHING} for name in vhosts],
    }


@contextmanager
def rabbitmq_server(folder: Path) -> Iterator[RabbitMQ]:
    """Yields once it answers; a test may kill it and start it again. Where it is installed it has to come up."""
    with required("a RabbitMQ broker"):
        if not _PROGRAM.exists():
            raise ServerMissing("RabbitMQ is not installed: apt-get install rabbitmq-server")
    server = RabbitMQ(folder)
    try:
        server.start()
        server.wait()
        yield server
    finally:
        server.kill()
