"""The part of the store that is the run controller's own: who leads, how far was asked, what is still open."""

from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple, Protocol

from services.registry.records import Step


def still_open(unsettled: Mapping[int, Step], there: Container[int], below: int) -> dict[int, Step]:
    """Return what each unsettled candidate awaits, and "generation" for missing ones below, in the order of indices."""
    missing: dict[int, Step] = {index: "generation" for index in range(below) if index not in there}
    return dict(sorted({**unsettled, **missing}.items()))


class Lease(NamedTuple):
    """The right to publish, alive while `beat` goes up, so clocks need not agree. An empty holder gave it back."""

    holder: str
    beat: int


class Control(Protocol):
    """What the run controller keeps. All raise Unavailable (retryable) where the database is locked, full or away."""

    async def lease(self) -> Lease | None:
        """Return the lease as it is; None where there never was one."""

    async def take(self, seen: Lease | None, holder: str) -> Lease | None:
        """Take the lease for the holder, one beat on, if it is still as it was seen; None where another was faster."""

    async def unfinished(self) -> list[str]:
        """Return the names of the runs that go on, oldest first."""

    async def acted(self) -> dict[str, int]:
        """Return how many acts steered each run that goes on, by its name; runs without any are left out."""

    async def open_steps(self, run_id: str, cycle: int, below: int) -> dict[int, Step]:
        """Return what each candidate with a lower index awaits, by index; settled ones are left out."""

    async def asked(self, run_uid: str, scope: str) -> int:
        """Return how many candidates were asked for, always in the order of their indices from 0.

        The scope is a cycle or a trial. The run is known by its uid: a look at an earlier run of the name, whose
        database was emptied, may end late.
        """

    async def claim(self, run_uid: str, scope: str, start: int, stop: int) -> bool:
        """Claim the candidates from `start` to below `stop`; return whether exactly `start` were asked for before."""

    async def unsaid(self, message_ids: Sequence[str]) -> set[str]:
        """Return those of the messages that the event log does not have."""
