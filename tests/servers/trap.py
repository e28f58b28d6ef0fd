"""A proxy that remembers who came, and serves nobody: who must not be sent to it fails, and who must be is told."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Trap:
    """`seen` has the first bytes of each connection."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.seen: list[bytes] = []

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(5)
                self.seen.append(connection.recv(200))
                connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


@contextmanager
def trap() -> Iterator[Trap]:
    """Listens until the context ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = Trap(listener)
        threading.Thread(target=found.serve, daemon=True).start()
        yield found
        listener.shutdown(socket.SHUT_RDWR)
