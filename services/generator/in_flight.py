"""The requests that something is serving, which must not be taken away before the last has ended."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class InFlight:
    """Counter of requests that can be waited for until there are none."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a request until the context is left."""
        self._count += 1
        self._none.clear()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._none.set()

    async def none(self) -> None:
        """Return when there is no request."""
        while self._count:
            await self._none.wait()
