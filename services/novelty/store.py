"""The port of the signature store, and its records."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from archloop.contracts.messages import CandidateJudged
from services.novelty.entries import Entries, Entry
from services.novelty.features import Features


@dataclass(frozen=True)
class Arrival:
    """The outcome of a candidate. Only a valid one has features and is judged.

    `candidate` and `run_id` are names made by `identity`, unique even where ids are used again.
    """

    candidate: str
    run_id: str
    cycle: int
    index: int
    submission: str | None
    scope: Literal["run", "global"]
    threshold: float
    features: Features | None
    graph_sha256: str | None = None
    protocol_sha256: str = ""

    @property
    def entry(self) -> Entry:
        """Return the entry for the index. A submission belongs to no run, whatever its batch is called."""
        assert self.features is not None
        run_id = self.run_id if self.submission is None else ""
        return Entry(self.candidate, run_id, *self.features[:3], self.graph_sha256, self.protocol_sha256)


class SignatureStore(Entries, Protocol):
    """Durable arrivals and verdicts. All changes are made within `transaction()`, whole or not at all."""

    def transaction(self) -> AbstractContextManager[None]:
        """Open a transaction: one writer at a time, durable on leaving. Raises Unavailable, InvalidInput."""

    def record(self, arrival: Arrival, unless: str = "") -> bool:
        """Keep an arrival; return False, and keep nothing, if it or the one named `unless` was kept before."""

    def at_mark(self, run_id: str, cycle: int) -> Arrival | None:
        """Return the first unsettled arrival of the cycle, in index order; None if that one is still missing.

        An index may have several arrivals, some after it was settled: a candidate requested twice may arrive twice.
        """

    def settle(self, candidate: str, *, released_by: str, judged: CandidateJudged | None) -> None:
        """Mark a candidate as settled; a judged one enters the order of judgement."""

    def released_by(self, candidate: str) -> Sequence[CandidateJudged]:
        """Return the verdicts that an arrival released, in the order of judgement."""

    def close(self) -> None:
        """Close the store."""
