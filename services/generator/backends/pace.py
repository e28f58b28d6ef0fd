"""Pace of requests: as many at once as the server bears, found by additive increase and multiplicative decrease."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from typing_extensions import override

from archloop.errors import ArchloopError
from services.generator.backends.port import Answer, Backend, Decoding, ServedModel
from services.generator.errors import ServerOverloaded

log = structlog.get_logger(__name__)


class Pace:
    """Limit of requests at a time, `most` to begin with (AIMD, Chiu and Jain 1989).

    An overload, or an answer that took longer than `slow_s` seconds, halves it, once for all requests that were under
    way together; answers in time add one for each round of `limit` answers. Another failure counts only if it took that
    long.
    """

    def __init__(self, most: int, slow_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = float(most)
        self._most, self._slow_s, self._clock = most, slow_s, clock
        self._running = 0
        self._cut = -float("inf")
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it until the context ends; the limit is adapted to how the turn went."""
        while self._running >= int(self.limit):
            await self._freed.wait()
        self._running += 1
        began = self._clock()
        try:
            yield
            self._learn(began, well=not self._slow(began))
        except ArchloopError as error:
            if isinstance(error, ServerOverloaded) or self._slow(began):
                self._learn(began, well=False)
            raise
        finally:
            self._running -= 1
            # whoever waits looks again; without a lock nothing here can be cancelled
            self._freed.set()
            self._freed = asyncio.Event()

    def _slow(self, began: float) -> bool:
        return self._clock() - began > self._slow_s

    def _learn(self, began: float, *, well: bool) -> None:
        if well:
            self.limit = min(float(self._most), self.limit + 1 / self.limit)
        elif began >= self._cut:
            self.limit, self._cut = max(1.0, self.limit / 2), self._clock()
            log.info("asking the model server for less at once", limit=int(self.limit))


@dataclass(frozen=True)
class Paced(Backend):
    """Backend that is never asked for more at once than it bears; overloads are waited out for a while."""

    inner: Backend
    pace: Pace
    waits_s: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)

    @override
    async def ready(self) -> bool:
        return await self.inner.ready()

    @override
    async def base(self) -> ServedModel:
        return await self.inner.base()

    @override
    async def adapters(self) -> frozenset[str]:
        return await self.inner.adapters()

    @override
    async def generate(self, prompt: str, decoding: Decoding, seed: int | None, adapter: str | None) -> Answer:
        for wait_s in self.waits_s:
            try:
                async with self.pace.turn():
                    return await self.inner.generate(prompt, decoding, seed, adapter)
            except ServerOverloaded:
                await asyncio.sleep(wait_s)
        async with self.pace.turn():
            return await self.inner.generate(prompt, decoding, seed, adapter)

    @override
    async def load(self, name: str, path: Path) -> None:
        await self.inner.load(name, path)

    @override
    async def adopt(self, name: str) -> None:
        await self.inner.adopt(name)

    @override
    async def unload(self, name: str) -> None:
        await self.inner.unload(name)

    @override
    async def close(self) -> None:
        await self.inner.close()
