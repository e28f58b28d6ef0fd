"""What the registry knows, as frozen values: the same whichever store they are read from."""

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import Field, computed_field

from archloop.contracts.base import Frozen, absent, derived_id
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import AdapterRef, Evaluation, Family, Outcome, SourceCode, Usage, Verdict

COMPLETED = "completed"
OVER_BUDGET = "budget exhausted"
Item = TypeVar("Item")
Step = Literal["generation", "evaluation", "judgement"]
Status = Literal["running", "finished", "failed"]
Sort = Literal["index", "-index", "accuracy", "-accuracy", "similarity", "-similarity"]


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


class Run(Frozen):
    """A run, from its request to its end. `reason` says how it ended; null while it runs."""

    run_id: str
    spec: RunSpec
    created: datetime
    finished: datetime | None = None
    reason: str | None = None

    @property
    def uid(self) -> str:
        """The id that tells it from every other run that had its name, in this database or in one before it."""
        return derived_id("run", self.run_id, round(self.created.timestamp() * 1000))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def status(self) -> Status:
        """How it goes: `failed` is any end but after the last cycle, or when the budget is used up."""
        if self.finished is None:
            return "running"
        reason = self.reason or ""
        return "finished" if reason == COMPLETED or reason.startswith(OVER_BUDGET) else "failed"


class Cycle(Frozen):
    """One cycle: the adapter that writes its candidates (null: the base model), and how many are settled."""

    run_id: str
    cycle: int
    adapter: AdapterRef | None = None
    opened: datetime
    closed: datetime | None = None
    settled: int = 0


class Judgement(Frozen):
    """The novelty service's verdict on a valid candidate."""

    verdict: Verdict
    nearest: str | None = None
    similarity: float
    threshold: float
    family: Family


class Loss(Frozen):
    """The step that never answered for a lost candidate, how often it was asked, and why it refused, if it did."""

    step: Step
    asked: int
    reason: str = ""


class Candidate(Frozen):
    """All that is recorded of one candidate but its text. Each step is null until it is recorded, and final then.

    `parent` is the candidate that it is an edit of, if it is one.
    """

    candidate_id: str
    run_id: str
    cycle: int | None = None
    index: int | None = None
    submission: str | None = None
    code_sha256: str | None = None
    adapter: str | None = None
    parent: Annotated[str | None, absent(None)] = None
    problem: str = ""
    usage: Usage | None = None
    generated: datetime | None = None
    evaluation: Evaluation | None = None
    evaluated: datetime | None = None
    judgement: Judgement | None = None
    judged: datetime | None = None
    lost: Loss | None = None
    admitted: bool = False

    @property
    def valid(self) -> bool:
        """Whether it trained and is above chance."""
        return self.evaluation is not None and self.evaluation.valid

    @property
    def novel(self) -> bool:
        """Whether it is valid and unlike everything before."""
        return self.judgement is not None and self.valid and self.judgement.verdict is Verdict.NOVEL

    @property
    def awaits(self) -> Step | None:
        """The step that has yet to answer, or null once the candidate is settled."""
        if self.lost is not None:
            return None
        if self.generated is None:
            return "generation"
        if self.evaluation is None:
            return "evaluation"
        return "judgement" if self.valid and self.judgement is None else None


class Source(Frozen):
    """What a candidate was asked and answered. `prompt` is null where another system wrote the code."""

    candidate_id: str
    code: SourceCode
    prompt: str | None = None


class Architecture(Frozen):
    """An admitted candidate, which LEMUR calls `nn`."""

    candidate_id: str
    run_id: str
    cycle: int
    index: int
    code_sha256: str
    accuracy: float
    family: Family
    protocol: str
    parameters: int | None = None
    flops: Annotated[int | None, absent(None)] = None
    parent: Annotated[str | None, absent(None)] = None
    similarity: float
    admitted: datetime


class Adapter(Frozen):
    """One version of the LLM, tuned on the pairs of `cycle`, continuing `parent`."""

    run_id: str
    cycle: int
    adapter: AdapterRef
    parent: str | None = None
    pair_count: int
    loss_curve: tuple[float, ...] = ()
    seconds: float = 0.0
    trained: datetime


class Event(Frozen):
    """One message as it was recorded. `seq` grows by the order of recording; code travels by hash only."""

    seq: int
    id: str
    type: str
    run_id: str
    time: datetime
    data: dict[str, Any]


class CandidateQuery(Frozen):
    """Which candidates, in which order, of the indices from `first` and `below`. Null does not restrict.

    `limit` null is all.
    """

    run_id: str | None = None
    cycle: int | None = None
    outcome: Outcome | None = None
    verdict: Verdict | None = None
    family: str | None = None
    min_accuracy: float | None = None
    parent: str | None = None
    first: int | None = None
    below: int | None = None
    sort: Sort = "index"
    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1)] | None = None
