"""What the registry knows, as frozen values: the same whichever store they are read from."""

from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

from archloop.contracts.base import Frozen
from services.registry.records.candidates import (
    Architecture,
    Candidate,
    CandidateQuery,
    Judgement,
    Loss,
    Sort,
    Source,
    Step,
)
from services.registry.records.runs import CANCELLED, COMPLETED, OVER_BUDGET, UNDER_WAY, Adapter, Cycle, Run, Status

Item = TypeVar("Item")


def utc_now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


class Recorded(NamedTuple):
    """What one message changed: whether anything, and whether its open cycle has nothing left to settle.

    `step` is what its candidate awaits now.
    """

    new: bool
    complete: bool = False
    step: Step | None = None


class Page(Frozen, Generic[Item]):
    """A part of a longer list, and the length of the whole."""

    total: int
    items: tuple[Item, ...]


class Event(Frozen):
    """One message as it was recorded. `seq` grows by the order of recording; code travels by hash only."""

    seq: int
    id: str
    type: str
    run_id: str
    time: datetime
    data: dict[str, Any]


__all__ = [
    "CANCELLED",
    "COMPLETED",
    "OVER_BUDGET",
    "UNDER_WAY",
    "Adapter",
    "Architecture",
    "Candidate",
    "CandidateQuery",
    "Cycle",
    "Event",
    "Item",
    "Judgement",
    "Loss",
    "Page",
    "Recorded",
    "Run",
    "Sort",
    "Source",
    "Status",
    "Step",
    "utc_now",
]
