"""Leadership: of all registries on one database the one with the lease publishes. The others read, and wait."""

import time
import uuid
from collections.abc import Callable
from typing import Protocol

import structlog
from typing_extensions import override

from services.registry.stores.control_port import Control, Lease

log = structlog.get_logger(__name__)

_NOBODY = ""


class Leadership(Protocol):
    """Whether this registry leads."""

    @property
    def leading(self) -> bool:
        """Whether it leads now. Only then may it publish."""

    @property
    def first(self) -> bool:
        """Whether nobody led before."""

    async def campaign(self) -> None:
        """Keep the lease, or take it where nobody keeps it. Raises Unavailable."""

    async def resign(self) -> None:
        """Give the lease up, so that the next registry need not wait. Raises Unavailable."""


class Alone(Leadership):
    """The only registry there can be, as its messages do not leave this process. It always leads."""

    leading = first = True

    @override
    async def campaign(self) -> None:
        """Do nothing: there is no lease."""

    @override
    async def resign(self) -> None:
        """Do nothing: there is no lease."""


class Leased(Leadership):
    """Leads by a lease in the database, with no need for equal clocks.

    Whoever leads renews it, and stops leading `lease_s` after the beginning of the last renewal that succeeded. Whoever
    waits takes it once it has not seen it renewed for as long by its own clock, which is later.
    """

    first = False

    def __init__(self, store: Control, lease_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._lease_s, self._clock = store, lease_s, clock
        self._name = uuid.uuid4().hex
        self._seen: Lease | None = None
        self._since, self._until = clock(), float("-inf")

    @property
    @override
    def leading(self) -> bool:
        return self._clock() < self._until

    @override
    async def campaign(self) -> None:
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

    @override
    async def resign(self) -> None:
        if self.leading:
            self._until = float("-inf")
            await self._store.take(self._seen, _NOBODY)

    async def _looked(self) -> Lease | None:
        found = await self._store.lease()
        if found != self._seen:
            self._seen, self._since = found, self._clock()
        return found
