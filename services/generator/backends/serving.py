"""One of several servers that follow each other: started, waited for, asked, and stopped once nobody waits for it."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from archloop.errors import Unavailable
from services.generator.backends.port import Answer, Backend, Decoding
from services.generator.backends.tgi_launcher import Launcher, Running
from services.generator.in_flight import InFlight

log = structlog.get_logger(__name__)

Connect = Callable[[str, Collection[str]], Backend]
_LOOK_S = 0.1


@dataclass(eq=False)
class Server:
    """Running server; `adapters` are those that it was started with."""

    adapters: Mapping[str, Path]
    running: Running
    backend: Backend
    in_flight: InFlight = field(default_factory=InFlight)

    async def generate(self, prompt: str, decoding: Decoding, seed: int | None, adapter: str | None) -> Answer:
        """Generate as the port says; the server is not stopped meanwhile."""
        with self.in_flight.one():
            return await self.backend.generate(prompt, decoding, seed, adapter)

    async def retire(self, drain_s: float) -> None:
        """Stop the server after its last request, or after `drain_s` seconds."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(drain_s):
                    await self.in_flight.none()
        finally:
            try:
                await self.running.stop()
            except Unavailable as error:
                log.warning("a model server cannot be stopped", reason=str(error))
            await self.backend.close()


async def started(launcher: Launcher, connect: Connect, adapters: Mapping[str, Path], start_s: float) -> Server:
    """Start a server and wait until it answers its health check.

    Raises Unavailable, and leaves nothing behind, where none comes up.
    """
    try:
        async with asyncio.timeout(start_s):
            running = await launcher.start(adapters)
            server = Server(adapters, running, connect(running.url, adapters))
            try:
                await _healthy(server)
            except BaseException:
                await server.retire(0)
                raise
    except TimeoutError as error:
        raise Unavailable(f"a model server with {_names(adapters)} was not ready within {start_s:g} s") from error
    return server


async def _healthy(server: Server) -> None:
    ended = asyncio.create_task(server.running.ended())
    try:
        while not await server.backend.ready():
            await asyncio.wait([ended], timeout=_LOOK_S)
            if ended.done():
                raise Unavailable(f"a model server with {_names(server.adapters)} {ended.result()} at its start")
    finally:
        ended.cancel()


def _names(adapters: Mapping[str, Path]) -> str:
    return ", ".join(adapters) or "no adapters"
