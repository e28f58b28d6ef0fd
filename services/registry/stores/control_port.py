"""The part of the store that is the run controller's own: who leads, how far was asked, what is still open."""

from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple, Protocol

from services.registry.records import Step


def still_open(unsettled: Mapping[int, Step], there: Container[int], below: int) -> dict[int, Step]:
    """In the order of indices: what is awaited of those that are there, and that the others are written."""
    missing: dict[int, Step] = {index: "generation" for index in range(below) if index not in there}
    return dict(sorted({**unsettled, **missing}.items()))


class Lease(NamedTuple):
    """The right to speak. It is alive while `beat` goes up; nobody's clock counts. No holder: it was handed back."""

    holder: str
    beat: int


class Control(Protocol):
    """All verbs raise Unavailable (retryable) where the database is locked, full or away."""

    async def lease(self) -> Lease | None:
        """The lease as it is; None where there never was one."""

    async def take(self, seen: Lease | None, holder: str) -> Lease | None:
        """The lease, one beat on and the holder's, if it is still as it was seen; None where somebody was faster."""

    async def unfinished(self) -> list[str]:
        """The names of the runs that go on, first come first."""

    async def open_steps(self, run_id: str, cycle: int, below: int) -> dict[int, Step]:
        """What each candidate with a lower index awaits, by index; settled ones are left out."""

    async def asked(self, run_uid: str, scope: str) -> int:
        """How many were asked for, always in the order of their indices from 0. The scope is a cycle or a trial.

        The run is known by its uid: a look at an earlier run of the name, whose database was emptied, may end late.
        """

    async def claim(self, run_uid: str, scope: str, start: int, stop: int) -> bool:
        """Whether those from `start` on are the caller's to ask for: only if so far exactly `start` were asked for."""

    async def unsaid(self, message_ids: Sequence[str]) -> set[str]:
        """Those of the messages that the event log does not have."""
