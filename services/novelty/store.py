"""The signature store's port, and what goes in and out of it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from archloop.contracts.messages import CandidateJudged
from services.novelty.features import Features
from services.novelty.kept import Entries, Entry


@dataclass(frozen=True)
class Arrival:
    """What was heard of a candidate. Only a valid one has features; only it will be judged.

    `candidate` and `run_id` are names of `identity`, which tell apart what had the same ones at different times.
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
        """As it stands in the index. A submission belongs to no run, whatever its batch is called."""
        assert self.features is not None
        run_id = self.run_id if self.submission is None else ""
        return Entry(self.candidate, run_id, *self.features[:3], self.graph_sha256, self.protocol_sha256)


class SignatureStore(Entries, Protocol):
    """Arrivals and verdicts, durable. All of it within `transaction()`: it is there whole, or not at all."""

    def transaction(self) -> AbstractContextManager[None]:
        """One writer at a time; durable on leaving. Raises Unavailable, InvalidInput."""

    def record(self, arrival: Arrival, unless: str = "") -> bool:
        """Keep it; False if it was heard before, or what `unless` names was: that then stands."""

    def at_mark(self, run_id: str, cycle: int) -> Arrival | None:
        """The first of the cycle, in index order, that is not settled; None if that one has not arrived.

        Of an index there may be several, and some after it was settled: who is asked twice may answer twice.
        """

    def settle(self, candidate: str, *, released_by: str, judged: CandidateJudged | None) -> None:
        """The mark moves past it; a judged candidate enters the order of judgement."""

    def released_by(self, candidate: str) -> Sequence[CandidateJudged]:
        """The verdicts that an arrival released, in the order of judgement."""

    def close(self) -> None:
        """Let go of everything."""
