"""Turns at what cannot be used for everything at once: the memory of a GPU."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

from archloop.bus.port import Bus, Callback, Delivery, Subscription
from archloop.contracts.topology import Queue
from archloop_lab.placement import Role

LINGER_S = 1.0


class Turns:
    """Lets roles work at the same time unless they exclude each other.

    A role keeps its turn while it has work, and `linger_s` longer, as its next message is often on its way: what it
    waits for comes from those that wait for it, so nobody waits for ever. `vacate` frees what a role keeps between its
    works, before one that it excludes begins.
    """

    def __init__(
        self,
        pairs: Collection[frozenset[Role]],
        vacate: dict[Role, Callable[[], Awaitable[None]]] | None = None,
        linger_s: float = LINGER_S,
    ) -> None:
        self._excluded = {role: {other for pair in pairs if role in pair for other in pair - {role}} for role in Role}
        self._vacate, self._linger_s = vacate or {}, linger_s
        self._working: Counter[Role] = Counter()
        self._until: dict[Role, float] = {}
        self._changed = asyncio.Condition()
        self._waking: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def held(self, role: Role) -> AsyncIterator[None]:
        """Work in a role once nobody whom it excludes works."""
        await self._begin(role)
        try:
            yield
        finally:
            await asyncio.shield(self._end(role))

    async def _begin(self, role: Role) -> None:
        async with self._changed:
            while (pause := self._pause(role)) is not None:
                await self._wait(pause)
            for other in self._excluded[role]:
                if other in self._vacate:
                    await self._vacate[other]()
            self._working[role] += 1

    async def _wait(self, pause: float) -> None:
        """Wait for a change, or until others have lingered long enough."""
        waking = asyncio.get_running_loop().call_later(pause, self._wake) if pause else None
        try:
            await self._changed.wait()
        finally:
            if waking is not None:
                waking.cancel()

    def _wake(self) -> None:
        self._waking = asyncio.ensure_future(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _pause(self, role: Role) -> float | None:
        """Return how long a role has to wait, 0 for as long as others work, None where it can begin."""
        others = self._excluded[role]
        if any(self._working[other] for other in others):
            return 0.0
        left = max((self._until.get(other, 0.0) for other in others), default=0.0) - asyncio.get_running_loop().time()
        return left if left > 0 and not self._working[role] else None

    async def _end(self, role: Role) -> None:
        async with self._changed:
            self._working[role] -= 1
            if not self._working[role]:
                self._until[role] = asyncio.get_running_loop().time() + self._linger_s
            self._changed.notify_all()


class _TurnBus:
    """A bus whose messages are handled in a role's turn; all else is as on the bus itself."""

    def __init__(self, bus: Bus, turns: Turns, role: Role) -> None:
        self._bus, self._turns, self._role = bus, turns, role

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def subscribe(self, queue: Queue, callback: Callback) -> Subscription:
        """Deliver each message when its turn has come."""
        return await self._bus.subscribe(queue, partial(self._in_turn, callback))

    async def _in_turn(self, callback: Callback, delivery: Delivery) -> None:
        async with self._turns.held(self._role):
            await callback(delivery)


def in_turn(bus: Bus, turns: Turns, role: Role) -> Bus:
    """Return the bus as a service of this role is to see it."""
    return cast("Bus", _TurnBus(bus, turns, role))
