"""The life of one adapter version at one generator replica.

published → fetched → validated → loaded → probed → active → draining → retired, or rejected on the way up.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

import structlog

from archloop.contracts.values import AdapterRef

log = structlog.get_logger(__name__)


class State(StrEnum):
    """State of a version."""

    PUBLISHED = "published"
    FETCHED = "fetched"
    VALIDATED = "validated"
    LOADED = "loaded"
    PROBED = "probed"
    ACTIVE = "active"
    DRAINING = "draining"
    RETIRED = "retired"
    REJECTED = "rejected"


_NEXT: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.PUBLISHED: frozenset({State.FETCHED, State.REJECTED}),
        State.FETCHED: frozenset({State.VALIDATED, State.REJECTED}),
        State.VALIDATED: frozenset({State.LOADED, State.REJECTED}),
        State.LOADED: frozenset({State.PROBED, State.REJECTED}),
        State.PROBED: frozenset({State.ACTIVE}),
        State.ACTIVE: frozenset({State.DRAINING}),
        State.DRAINING: frozenset({State.RETIRED}),
    }
)


@dataclass(eq=False)
class Version:
    """Immutable adapter version, with the requests that it is serving."""

    ref: AdapterRef
    state: State = State.PUBLISHED
    in_flight: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    def move(self, to: State) -> None:
        """Go on to the next state; an impossible step is a bug."""
        if to not in _NEXT.get(self.state, frozenset()):
            raise RuntimeError(f"adapter {self.ref.adapter}: {self.state} → {to} is no step of its life")
        self.state = to
        log.info("adapter", adapter=self.ref.adapter, state=to.value)

    @asynccontextmanager
    async def pinned(self) -> AsyncIterator[None]:
        """Keep the version loaded until the context is left."""
        self.in_flight += 1
        self.idle.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self.idle.set()

    async def drained(self) -> None:
        """Return when no request uses the version."""
        if self.in_flight:
            await self.idle.wait()
