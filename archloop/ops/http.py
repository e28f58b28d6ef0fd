"""Serves an ASGI app on a port, in a process that does other things too."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

from archloop.errors import Misconfigured
from archloop.ops.connections import Impatient, unread_no_longer_than
from archloop.ops.doors import Doors, Guarded

_GRACE_S = 1
# Of a burst of clients none is turned away by the kernel, and a few are let in at a time, between what others ask.
_WAITING, _AT_ONCE = 4096, 4


class _Server(uvicorn.Server):
    """A server that leaves signals to whoever owns the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Let more clients wait than are accepted at once; asyncio has one number for both."""
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(_WAITING)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Abort connections whose clients do not read what was sent to them."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()


@asynccontextmanager
async def listening(app: ASGIApp, host: str, port: int, setting: str, doors: Doors | None = None) -> AsyncIterator[str]:
    """Serve the app and yield its URL; port 0 is any free one.

    Raises Misconfigured that names the setting where the port cannot be had.
    """
    with _bound(host, port, setting) as listener:
        server = _Server(_config(Guarded(app, doors or Doors(host))))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Impatient,
        ws="none",
        log_config=None,
        lifespan="off",
        backlog=_AT_ONCE,
        timeout_graceful_shutdown=_GRACE_S,
    )


def _bound(host: str, port: int, setting: str) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    unread_no_longer_than(listener)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Misconfigured(setting, f"port {port} of {host} cannot be had ({error.strerror})") from error
    listener.listen(_WAITING)
    return listener
