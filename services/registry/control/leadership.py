"""Who speaks: of all registries on one database the one that holds the lease. The others read, and wait."""

import time
import uuid
from collections.abc import Callable
from typing import Protocol

import structlog

from services.registry.stores.control_port import Control, Lease

log = structlog.get_logger(__name__)

_NOBODY = ""


class Leadership(Protocol):
    """Whether this registry leads."""

    @property
    def leading(self) -> bool:
        """Now. What is said is said only while that is so."""

    @property
    def first(self) -> bool:
        """Whether nobody led before."""

    async def campaign(self) -> None:
        """Keep the lease, or take it where nobody keeps it. Raises Unavailable."""

    async def resign(self) -> None:
        """Hand it back, so that the next one need not wait. Raises Unavailable."""


class Alone:
    """Nobody else can be there, as what is said does not leave this process."""

    leading = first = True

    async def campaign(self) -> None:
        """See the port."""

    async def resign(self) -> None:
        """See the port."""


class Leased:
    """By a lease in the database. Nobody's time of day counts.

    Whoever leads renews it, and stops to lead `lease_s` after the beginning of the last renewal that succeeded. Whoever
    waits takes it once it has not seen it renewed for as long by its own clock, which is later.
    """

    def __init__(self, store: Control, lease_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._lease_s, self._clock = store, lease_s, clock
        self._name = uuid.uuid4().hex
        self._seen: Lease | None = None
        self._since, self._until = clock(), float("-inf")
        self.first = False

    @property
    def leading(self) -> bool:
        """See the port."""
        return self._clock() < self._until

    async def campaign(self) -> None:
        """See the port."""
        seen = self._seen if self.leading else await self._looked()
        began = self._clock()
        if seen is not None and seen.holder not in {self._name, _NOBODY} and began - self._since < self._lease_s:
            return
        led, taken = self.leading, await self._store.take(seen, self._name)
        if taken is None:
            # Another one was faster, or this one was and did not hear of it: the next look tells.
            self._until = float("-inf")
            return
        self._seen, self._until = taken, began + self._lease_s
        if not led:
            self.first = taken.beat == 1
            log.info("this registry leads now", lease=taken.beat)

    async def resign(self) -> None:
        """See the port."""
        if self.leading:
            self._until = float("-inf")
            await self._store.take(self._seen, _NOBODY)

    async def _looked(self) -> Lease | None:
        found = await self._store.lease()
        if found != self._seen:
            self._seen, self._since = found, self._clock()
        return found
