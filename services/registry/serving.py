"""The HTTP API on a port of its own, inside of the registry's process."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI

from archloop.errors import InvalidInput
from services.registry.settings import RegistrySettings


class _Server(uvicorn.Server):
    """Signals are for whoever owns the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(api: FastAPI, settings: RegistrySettings) -> AsyncIterator[str | None]:
    """Yields the URL, or None where the settings have no port. Raises InvalidInput where the port cannot be had."""
    if settings.port is None:
        yield None
        return
    with _bound(settings.host, settings.port) as listener:
        config = uvicorn.Config(api, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://{settings.host}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise InvalidInput("ARCHLOOP_REGISTRY_PORT", port, f"a free port on {host} ({error.strerror})") from error
    listener.listen()
    return listener
