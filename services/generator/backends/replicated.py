"""Several servers of the same model as one: adapters on all of them, each request on the one that has least to do."""

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from archloop.errors import Unavailable
from services.generator.backends.port import Answer, Backend, Decoding, ServedModel

_T = TypeVar("_T")


class Replicated:
    """`addresses` says where the servers are now, `connect` makes the backend of one. They may come and go."""

    def __init__(self, addresses: Callable[[], Awaitable[Sequence[str]]], connect: Callable[[str], Backend]) -> None:
        self._addresses, self._connect = addresses, connect
        self._servers: dict[str, Backend] = {}
        self._busy: Counter[str] = Counter()
        self._stale = True

    async def ready(self) -> bool:
        """See the port. One server is enough."""
        return any(await asyncio.gather(*(server.ready() for server in (await self._current()).values())))

    async def base(self) -> ServedModel:
        """See the port."""
        bases = await self._each(lambda server: server.base())
        return bases[0]

    async def adapters(self) -> frozenset[str]:
        """See the port. What every server has."""
        return frozenset.intersection(*await self._each(lambda server: server.adapters()))

    async def generate(self, prompt: str, decoding: Decoding, seed: int | None, adapter: str | None) -> Answer:
        """See the port."""
        servers = await self._current() if self._stale else self._servers
        url = min(servers, key=self._busy.__getitem__)
        self._busy[url] += 1
        try:
            return await servers[url].generate(prompt, decoding, seed, adapter)
        except Unavailable:
            self._stale = True  # one may have gone: look again before the next
            raise
        finally:
            self._busy[url] -= 1

    async def load(self, name: str, path: Path) -> None:
        """See the port. On each server that does not have it."""

        async def give(server: Backend) -> None:
            if name not in await server.adapters():
                await server.load(name, path)

        await self._each(give)

    async def adopt(self, name: str) -> None:
        """See the port."""
        await self._each(lambda server: server.adopt(name))

    async def unload(self, name: str) -> None:
        """See the port."""
        await self._each(lambda server: server.unload(name))

    async def close(self) -> None:
        """See the port."""
        await asyncio.gather(*(server.close() for server in self._servers.values()))

    async def _each(self, do: Callable[[Backend], Awaitable[_T]]) -> Sequence[_T]:
        return await asyncio.gather(*map(do, (await self._current()).values()))

    async def _current(self) -> dict[str, Backend]:
        """Those that are there now. Raises Unavailable where there is none."""
        found = await self._addresses()
        if not found:
            raise Unavailable("the model server's name stands for no address now")
        for gone in [url for url in self._servers if url not in found and not self._busy[url]]:
            await self._servers.pop(gone).close()
        for new in [url for url in found if url not in self._servers]:
            self._servers[new] = self._connect(new)
        self._stale = False
        return {url: server for url, server in self._servers.items() if url in found}


async def resolved(url: str) -> list[str]:
    """`url` once for each address behind its host name, as that of a headless Service or of several containers."""
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
