"""TGI takes adapters at its start only: for each new one a new server, which replaces the old once it is proven."""

import asyncio
from collections.abc import Mapping
from itertools import chain, repeat
from pathlib import Path
from typing import NamedTuple

import structlog
from typing_extensions import override

from archloop.errors import ArchloopError, Unavailable
from services.generator.backends.port import Answer, Backend, Decoding, ServedModel
from services.generator.backends.serving import Connect, Server, started
from services.generator.backends.tgi_launcher import Launcher
from services.generator.errors import AdapterMissing

log = structlog.get_logger(__name__)

AGAIN_S = (1.0, 5.0, 30.0)


class Times(NamedTuple):
    """Seconds that a server may take to start, and to finish its requests when it is replaced."""

    start_s: float
    drain_s: float


class UnprovenServer(NamedTuple):
    """New server that answers for its new adapter only, until that is proven."""

    adapter: str
    server: Server


class Rolling(Backend):
    """Backend of servers that replace each other; one that ends by itself is started again with its adapters.

    The first starts when something is asked for. With `overlap` old and new run side by side until the new one is
    proven. Without it, for want of memory, the old one is stopped first, and requests are refused meanwhile.
    """

    def __init__(self, launcher: Launcher, connect: Connect, times: Times, *, overlap: bool = True) -> None:
        self._launcher, self._connect, self._times, self._overlap = launcher, connect, times, overlap
        self._wanted: dict[str, Path] = {}
        self._serving: Server | None = None
        self._unproven: UnprovenServer | None = None
        self._reason = "is being started"
        self._tried = asyncio.Event()
        self._revival: asyncio.Task[None] | None = None
        self._retiring: asyncio.Task[None] | None = None
        self._watches: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()

    @override
    async def ready(self) -> bool:
        self._begin()
        return self._serving is not None and await self._serving.backend.ready()

    @override
    async def base(self) -> ServedModel:
        """Return the base model; the first start is waited for."""
        return await (await self._first()).backend.base()

    @override
    async def adapters(self) -> frozenset[str]:
        await self._standing().backend.base()
        return frozenset(self._wanted) | ({self._unproven.adapter} if self._unproven else frozenset())

    @override
    async def generate(self, prompt: str, decoding: Decoding, seed: int | None, adapter: str | None) -> Answer:
        """Generate on the server that is chosen now, whatever is switched meanwhile."""
        if self._unproven is not None and adapter == self._unproven.adapter:
            return await self._unproven.server.generate(prompt, decoding, seed, adapter)
        if adapter is not None and adapter not in self._wanted:
            raise AdapterMissing(f"no model server was started with adapter {adapter!r}")
        server = self._serving or await self._first()
        return await server.generate(prompt, decoding, seed, adapter)

    @override
    async def load(self, name: str, path: Path) -> None:
        """Start a server with the adapter, which takes as long as a server takes to start."""
        async with self._lock:
            if name in self._wanted or (self._unproven and self._unproven.adapter == name):
                return
            old = await self._first()
            await self._give_up_unproven()
            if self._retiring is not None:  # never more than two
                await asyncio.wait([self._retiring])
            adapters = {**self._wanted, name: path}
            self._unproven = UnprovenServer(
                name, await (self._start(adapters) if self._overlap else self._instead(old, adapters))
            )

    @override
    async def adopt(self, name: str) -> None:
        """Switch to the new server, and let the old one finish in the background."""
        async with self._lock:
            if self._unproven is None or self._unproven.adapter != name:
                return
            new, old = self._unproven.server, self._serving
            self._wanted = {n: path for n, path in new.adapters.items() if n == name or n in self._wanted}
            self._unproven = None
            self._serve(new)
            await _cancelled(self._revival)
            if old is not None:
                self._retiring = asyncio.create_task(old.retire(self._times.drain_s))

    @override
    async def unload(self, name: str) -> None:
        """Forget the adapter; it stays in the server's memory until the next server takes its place."""
        async with self._lock:
            if self._unproven is not None and self._unproven.adapter == name:
                await self._give_up_unproven()
            self._wanted.pop(name, None)

    @override
    async def close(self) -> None:
        """Stop all servers."""
        servers = [self._serving, self._unproven.server if self._unproven else None]
        self._serving = self._unproven = None
        await _cancelled(self._revival, self._retiring, *self._watches)
        await asyncio.gather(*(server.retire(0) for server in servers if server is not None))

    def _standing(self) -> Server:
        self._begin()
        if self._serving is None:
            raise Unavailable(f"the model server {self._reason}")
        return self._serving

    async def _first(self) -> Server:
        """Return the server that serves; the very first attempt to start one is waited for. Raises Unavailable."""
        self._begin()
        await self._tried.wait()
        return self._standing()

    def _begin(self) -> None:
        if self._serving is None and self._revival is None:
            self._revival = asyncio.create_task(self._revive())

    async def _start(self, adapters: Mapping[str, Path]) -> Server:
        return await started(self._launcher, self._connect, adapters, self._times.start_s)

    async def _instead(self, old: Server, adapters: Mapping[str, Path]) -> Server:
        self._serving, self._reason = None, f"is being replaced by one with {', '.join(adapters)}"
        try:
            await old.retire(self._times.drain_s)
            return await self._start(adapters)
        except BaseException:
            self._bring_back("is being started again, since the one in its place did not come up")
            raise

    async def _give_up_unproven(self) -> None:
        """Stop the new server, which nobody else has asked for anything."""
        if self._unproven is None:
            return
        server, self._unproven = self._unproven.server, None
        await server.retire(0)
        if self._serving is None:
            self._bring_back("is being started again, since the one in its place was not proven")

    def _serve(self, server: Server) -> None:
        self._serving = server
        watch = asyncio.create_task(self._watch(server))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)

    async def _watch(self, server: Server) -> None:
        how = await server.running.ended()
        if server is self._serving:
            self._serving = None
            log.warning("the model server is gone", how=how)
            self._bring_back(f"{how} and is being started again")
            await server.retire(0)

    def _bring_back(self, reason: str) -> None:
        self._reason = reason
        if self._revival is None or self._revival.done():
            self._revival = asyncio.create_task(self._revive())

    async def _revive(self) -> None:
        """Start a server with the wanted adapters, however often it takes."""
        for again_s in chain(AGAIN_S, repeat(AGAIN_S[-1])):
            try:
                self._serve(await self._start(dict(self._wanted)))
            except (ArchloopError, OSError) as error:
                self._reason = f"does not start: {error}"
                log.warning("the model server does not start", reason=str(error))
            else:
                return
            finally:
                self._tried.set()
            await asyncio.sleep(again_s)


async def _cancelled(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel the tasks, once, as the servers that they stop take their time for it, and return when they have ended."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
