"""What the registry knows, as frozen values: the same whichever store they are read from."""

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import Field, computed_field
from pydantic.json_schema import SkipJsonSchema

from archloop.contracts.acts import Act
from archloop.contracts.base import Frozen, absent, derived_id
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import AdapterRef, Evaluation, Family, Outcome, SourceCode, Usage, Verdict
from services.registry.acts import NO_EXEMPLARS, Exemplars, RecordedAct, Steered, is_paused

COMPLETED = "completed"
CANCELLED = "cancelled"
OVER_BUDGET = "budget exhausted"
Item = TypeVar("Item")
Step = Literal["generation", "evaluation", "judgement"]
Status = Literal["running", "paused", "finished", "cancelled", "failed"]
UNDER_WAY: frozenset[Status] = frozenset({"running", "paused"})
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
    """A run, from its request to its end. `reason` says how it ended; null while it runs.

    `acts` are those by which it was steered, and `exemplars` those of the cycle that it is looked `at` in; neither is
    written with it.
    """

    run_id: str
    spec: RunSpec
    created: datetime
    finished: datetime | None = None
    reason: str | None = None
    acts: Annotated[tuple[RecordedAct, ...], Field(exclude=True), SkipJsonSchema()] = ()
    exemplars: Annotated[Exemplars, Field(exclude=True), SkipJsonSchema()] = NO_EXEMPLARS

    def at(self, cycle: "Cycle") -> "Run":
        """Return the run as this cycle has it: by the spec and the exemplars that acts made of it."""
        steered = cycle.steered
        if steered is None:
            return self
        return self.model_copy(update={"spec": steered.spec, "exemplars": steered.exemplars})

    @property
    def cancelled_by(self) -> str | None:
        """Who cancelled it; None where nobody did."""
        return next((each.act.who for each in self.acts if each.act.verb == "cancel"), None)

    @property
    def paused(self) -> bool:
        """Whether nothing new is to be asked for."""
        return is_paused(self.acts)

    @property
    def acted(self) -> tuple[Act, ...]:
        """All acts, those that were planned too."""
        return (*(planned.act for planned in self.spec.steering), *(recorded.act for recorded in self.acts))

    @property
    def largest_cycle(self) -> int:
        """How many candidates any of its cycles can have, at most."""
        written = (act.changes.candidates or 0 for act in self.acted if act.changes)
        return max((self.spec.candidates, *written)) + sum(act.code is not None for act in self.acted)

    @property
    def metered(self) -> bool:
        """Whether it has a budget, or may have been given one."""
        budgets = (act.changes.budget for act in self.acted if act.changes)
        return any(budget.limits() for budget in (self.spec.budget, *budgets) if budget)

    @property
    def uid(self) -> str:
        """The id that tells it from every other run that had its name, in this database or in one before it."""
        return derived_id("run", self.run_id, round(self.created.timestamp() * 1000))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def status(self) -> Status:
        """How it goes: `failed` is any end but after the last cycle, by an act, or when the budget is used up."""
        if self.finished is None:
            return "paused" if self.paused else "running"
        reason = self.reason or ""
        if reason.startswith(CANCELLED):
            return "cancelled"
        return "finished" if reason == COMPLETED or reason.startswith(OVER_BUDGET) else "failed"


class Cycle(Frozen):
    """One cycle: the adapter that writes its candidates (null: the base model), and how many are settled.

    `steered` is what acts made of it, where there were any; it is not written with it.
    """

    run_id: str
    cycle: int
    adapter: AdapterRef | None = None
    opened: datetime
    closed: datetime | None = None
    settled: int = 0
    steered: Annotated[Steered | None, Field(exclude=True), SkipJsonSchema()] = None

    def wanted(self, spec: RunSpec) -> int:
        """Return how many candidates it is to have in a run of this spec."""
        return spec.candidates if self.steered is None else self.steered.wanted


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

    `parent` is the candidate that it is an edit of, if it is one. A `submitter` steered the run and gave the code.
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
    submitter: Annotated[str, absent("")] = ""
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

    `code` and `error` are words that each has to have, or words that begin so; code that is too large to stand in a
    message is not looked through. `limit` null is all.
    """

    run_id: str | None = None
    cycle: int | None = None
    outcome: Outcome | None = None
    verdict: Verdict | None = None
    family: str | None = None
    min_accuracy: float | None = None
    parent: str | None = None
    code: str | None = None
    error: str | None = None
    first: int | None = None
    below: int | None = None
    sort: Sort = "index"
    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1)] | None = None
