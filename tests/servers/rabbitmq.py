"""A RabbitMQ broker of the tests' own, on loopback, in a folder that goes with it."""

import os
import socket
import subprocess
import time
from pathlib import Path

from archloop.ops.process import die_with_parent

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
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


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class RabbitMQ:
    """Start, stop, kill, and start again on the same data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port, self._dist, self._epmd = free_port(), free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rabbitmq.conf").write_text(_CONFIG.format(port=self.port))
        (folder / "plugins").write_text("[].\n")

    @property
    def url(self) -> str:
        return f"amqp://test:secret@127.0.0.1:{self.port}/"

    def start(self) -> None:
        self.spawn()
        self.wait()

    def spawn(self) -> None:
        """From the main thread: it dies with the thread that spawned it."""
        with (self._folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [*_WHOLE, str(PROGRAM)],
                env=self._env(),
                stdout=output,
                stderr=output,
                preexec_fn=die_with_parent,  # noqa: PLW1509
            )

    def wait(self, patience_s: float = 60) -> None:
        deadline = time.monotonic() + patience_s
        while not self._answers():
            if time.monotonic() > deadline or self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"RabbitMQ does not start: {(self._folder / 'output').read_text()[-2000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL the whole of it; the data stay."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(30)

    def close(self) -> None:
        self.kill()

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
