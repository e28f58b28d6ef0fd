"""The store port: what the registry needs of a database, and no more.

Every write is keyed by what it is about, and the first one wins: saying a thing again, late or differently never
changes what is recorded. A write that fails has no effect, or one that the same write completes when it is made again.
All verbs raise Unavailable (retryable) where the database is locked, full or away.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from archloop.contracts.base import Message
from archloop.contracts.values import AdapterRef, Evaluation
from services.registry.acts import Steered
from services.registry.records import (
    Adapter,
    Architecture,
    Candidate,
    CandidateQuery,
    Cycle,
    Event,
    Page,
    Recorded,
    Run,
    Source,
)
from services.registry.stores.control_port import Control


class Store(Control, Protocol):
    """Runs, cycles, candidates and what became of them."""

    async def record(self, message: Message, at: datetime) -> Recorded:
        """Append the message to the event log, and update the rows that it is about.

        Raises NotFound where it is about a run or cycle that there is not, Conflict where a run is requested
        under a name that another spec has.
        """

    async def open_cycle(
        self, run_id: str, cycle: int, adapter: AdapterRef | None, at: datetime, steered: Steered | None = None
    ) -> None:
        """Begin a cycle, whose candidates this adapter writes, and which takes up so much of what people did."""

    async def close_cycle(self, run_id: str, cycle: int, admitted: Sequence[str], at: datetime) -> None:
        """End a cycle and make these candidates of it architectures, all at once."""

    async def run(self, run_id: str) -> Run | None:
        """Return the run; None where there is none of this name."""

    async def runs(self, *, offset: int = 0, limit: int | None = None) -> Page[Run]:
        """Return runs, latest first."""

    async def cycles(self, run_id: str) -> list[Cycle]:
        """Return the run's cycles, in order."""

    async def candidates(self, query: CandidateQuery) -> Page[Candidate]:
        """Return candidates without their text; ties in cycle and index order."""

    async def candidate(self, candidate_id: str) -> Candidate | None:
        """Return the candidate without its text; None where there is none."""

    async def source(self, candidate_id: str) -> Source | None:
        """Return a candidate's code and prompt; None until there is code."""

    async def architectures(
        self, run_id: str | None = None, *, offset: int = 0, limit: int | None = None
    ) -> Page[Architecture]:
        """Return admitted candidates, best first; ties by run, cycle and index."""

    async def adapters(self, run_id: str | None = None) -> list[Adapter]:
        """Return adapters by run, in cycle order."""

    async def evaluation(self, code_sha256: str, protocol_sha256: str) -> Evaluation | None:
        """Return the first evaluation recorded of this code under this protocol."""

    async def events(
        self, after: int = 0, *, run_id: str | None = None, types: Sequence[str] = (), limit: int = 1000
    ) -> list[Event]:
        """Return events with a greater `seq`, in order; without `types`, those of every type."""

    async def last_event(self) -> int:
        """Return the greatest `seq`; 0 where there are no events."""

    async def said(self, message_id: str) -> bool:
        """Return whether the event log has this message."""

    async def ping(self) -> None:
        """Return if the database answers."""

    async def close(self) -> None:
        """Close the connection."""
