"""A backend whose server runs while it is needed: started at the first request, stopped when others need its memory."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog
from typing_extensions import override

from archloop.errors import Unavailable
from services.generator.backends.port import Answer, Backend, Decoding, ServedModel

log = structlog.get_logger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class _Server:
    """A server that runs, and its client."""

    context: AbstractAsyncContextManager[Backend]
    backend: Backend


class OnDemand(Backend):
    """Backend of a server that `start` runs; a server that has died is started again at the next request.

    A server that is started again has no adapters: who asks for one is told that it is missing, as by any other.
    """

    def __init__(self, start: Callable[[], AbstractAsyncContextManager[Backend]]) -> None:
        self._start = start
        self._server: _Server | None = None
        self._lock = asyncio.Lock()

    @property
    def started(self) -> bool:
        """Whether there is a server."""
        return self._server is not None

    async def start(self) -> None:
        """Start the server unless it runs. Raises Unavailable."""
        await self._running()

    async def stop(self) -> None:
        """Stop the server, if there is one; requests that it has in hand fail."""
        async with self._lock:
            server, self._server = self._server, None
            if server is not None:
                log.info("the model server makes room")
                await server.context.__aexit__(None, None, None)

    @override
    async def ready(self) -> bool:
        return self._server is not None and await self._server.backend.ready()

    @override
    async def base(self) -> ServedModel:
        return await self._asked(lambda backend: backend.base())

    @override
    async def adapters(self) -> frozenset[str]:
        return await self._asked(lambda backend: backend.adapters())

    @override
    async def generate(self, prompt: str, decoding: Decoding, seed: int | None, adapter: str | None) -> Answer:
        return await self._asked(lambda backend: backend.generate(prompt, decoding, seed, adapter))

    @override
    async def load(self, name: str, path: Path) -> None:
        await self._asked(lambda backend: backend.load(name, path))

    @override
    async def adopt(self, name: str) -> None:
        await self._asked(lambda backend: backend.adopt(name))

    @override
    async def unload(self, name: str) -> None:
        """Do nothing without a server: it would have no adapter."""
        if self._server is not None:
            await self._asked(lambda backend: backend.unload(name))

    @override
    async def close(self) -> None:
        await self.stop()

    async def _asked(self, ask: Callable[[Backend], Awaitable[T]]) -> T:
        """Ask the server; one that does not answer any more is given up, for the next request to start another."""
        server = await self._running()
        try:
            return await ask(server.backend)
        except Unavailable:
            if self._server is server and not await server.backend.ready():
                log.warning("the model server does not answer and is started again at the next request")
                await self.stop()
            raise

    async def _running(self) -> _Server:
        async with self._lock:
            if self._server is None:
                context = self._start()
                self._server = _Server(context, await context.__aenter__())
            return self._server
