"""The life of one adapter version at one generator replica.

published → fetched → validated → loaded → probed → active → draining → retired, or rejected on the way up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

import structlog

from archloop.contracts.values import AdapterRef
from services.generator.in_flight import InFlight

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
    in_flight: InFlight = field(default_factory=InFlight)

    def move(self, to: State) -> None:
        """Go on to the next state; an impossible step is a bug."""
        if to not in _NEXT.get(self.state, frozenset()):
            raise RuntimeError(f"adapter {self.ref.adapter}: {self.state} → {to} is no step of its life")
        self.state = to
        log.info("adapter", adapter=self.ref.adapter, state=to.value)
