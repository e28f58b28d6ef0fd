"""A RabbitMQ broker of the tests' own, on loopback, in a folder that goes with it."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.servers.process import ServerMissing, free_ports, required, started, wait_for

_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_CONTROL = _PROGRAM.with_name("rabbitmqctl")
# Erlang's processes leave their group and outlive it; in a pid namespace of their own they die with its first.
_WHOLE = ["unshare", "--fork", "--pid", "--kill-child", *([] if os.geteuid() == 0 else ["--map-root-user"])]
_CONFIG = """
listeners.tcp.default = 127.0.0.1:{port}
default_user = test
default_pass = secret
log.file.level = warning
vm_memory_high_watermark.absolute = 2GB
disk_free_limit.absolute = 50MB
"""


class RabbitMQ:
    """Start, kill, and start again on the same data."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._log = folder, folder / "output"
        self.port, self._dist, self._epmd = free_ports(3)
        self._running = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "rabbitmq.conf").write_text(_CONFIG.format(port=self.port))
        (folder / "plugins").write_text("[].\n")

    @property
    def url(self) -> str:
        return f"amqp://test:secret@127.0.0.1:{self.port}/"

    def start(self) -> None:
        """From the main thread: it dies with the thread that starts it."""
        self._process = self._running.enter_context(started([*_WHOLE, _PROGRAM], self._log, env=self._env()))

    def wait(self) -> None:
        """Until it answers. Raises ServerMissing where it does not come up."""
        assert self._process is not None
        wait_for(self._answers, self._process, self._log, 60)

    def kill(self) -> None:
        """SIGKILL the whole of it; the data stay."""
        self._running.close()

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
