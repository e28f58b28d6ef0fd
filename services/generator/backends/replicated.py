"""Several servers of the same model as one: adapters on all of them, each request to the least busy one."""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar, cast
from urllib.parse import urlsplit

from typing_extensions import override

from archloop.errors import Unavailable
from services.generator.backends.port import Answer, Backend, Decoding, ServedModel
from services.generator.errors import AdapterMissing, GenerationFailed, ServerOverloaded

_T = TypeVar("_T")


class Replicated(Backend):
    """Backend over several servers, which may come and go.

    `addresses` returns where the servers are now, `connect` makes the backend of one. One that failed is not asked for
    `rest_s` seconds, if there are others, because it would always be the least busy one.
    """

    def __init__(
        self,
        addresses: Callable[[], Awaitable[Sequence[str]]],
        connect: Callable[[str], Backend],
        *,
        rest_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._addresses, self._connect, self._rest_s, self._clock = addresses, connect, rest_s, clock
        self._servers: dict[str, Backend] = {}
        self._present: dict[str, Backend] = {}
        self._rests: dict[str, float] = {}
        self._busy: Counter[str] = Counter()
        self._stale = True

    @override
    async def ready(self) -> bool:
        """Return whether one server answers, which is enough."""
        return any(await asyncio.gather(*(server.ready() for server in (await self._current()).values())))

    @override
    async def base(self) -> ServedModel:
        """Return the base model of the first server that answers, as a request follows each time."""
        failure: Unavailable | None = None
        for server in self._willing(await self._now()).values():
            try:
                return await server.base()
            except Unavailable as error:
                failure = error
        assert failure is not None
        raise failure

    @override
    async def adapters(self) -> frozenset[str]:
        """Return the adapters that all servers have."""
        return frozenset.intersection(*await self._each(lambda server: server.adapters()))

    @override
    async def generate(self, prompt: str, decoding: Decoding, seed: int | None, adapter: str | None) -> Answer:
        servers = self._willing(await self._now())
        url = min(servers, key=self._busy.__getitem__)
        self._busy[url] += 1
        try:
            return await servers[url].generate(prompt, decoding, seed, adapter)
        except (ServerOverloaded, GenerationFailed, AdapterMissing):
            raise
        except Unavailable:
            self._stale = True  # one may have gone: look again before the next
            self._rests[url] = self._clock() + self._rest_s
            raise
        finally:
            self._busy[url] -= 1

    @override
    async def load(self, name: str, path: Path) -> None:
        """Load the adapter on each server that does not have it."""

        async def give(server: Backend) -> None:
            if name not in await server.adapters():
                await server.load(name, path)

        await self._each(give)

    @override
    async def adopt(self, name: str) -> None:
        await self._each(lambda server: server.adopt(name))

    @override
    async def unload(self, name: str) -> None:
        await self._each(lambda server: server.unload(name))

    @override
    async def close(self) -> None:
        await asyncio.gather(*(server.close() for server in self._servers.values()))

    async def _each(self, do: Callable[[Backend], Awaitable[_T]]) -> Sequence[_T]:
        """Do it on all servers, and raise the first failure only after all have ended.

        So nothing goes on behind the back of whoever undoes the failure.
        """
        servers = (await self._current()).values()
        done = await asyncio.gather(*map(do, servers), return_exceptions=True)
        if failures := [each for each in done if isinstance(each, BaseException)]:
            raise failures[0]
        return cast("Sequence[_T]", done)

    def _willing(self, servers: dict[str, Backend]) -> dict[str, Backend]:
        now = self._clock()
        return {url: server for url, server in servers.items() if self._rests.get(url, now) <= now} or servers

    async def _now(self) -> dict[str, Backend]:
        return await self._current() if self._stale else self._present

    async def _current(self) -> dict[str, Backend]:
        """Return the servers that are there now. Raises Unavailable where there is none."""
        found = await self._addresses()
        if not found:
            raise Unavailable("the model server's name stands for no address now")
        for new in [url for url in found if url not in self._servers]:
            self._servers[new] = self._connect(new)
        self._present = {url: server for url, server in self._servers.items() if url in found}
        self._stale = False
        idle = [url for url in self._servers if url not in found and not self._busy[url]]
        for gone in [self._servers.pop(url) for url in idle]:
            await gone.close()
        return self._present


async def resolved(url: str) -> list[str]:
    """Return `url` once for each address behind its host name, as of a headless Service or several containers."""
    parts = urlsplit(url)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unavailable(f"the model server's host {parts.hostname!r} is not known: {error}") from error
    hosts = sorted({str(address[0]) for _, _, _, _, address in found})
    return [parts._replace(netloc=_netloc(host, parts.port)).geturl() for host in hosts]


def _netloc(host: str, port: int | None) -> str:
    bare = f"[{host}]" if ":" in host else host
    return f"{bare}:{port}" if port else bare
