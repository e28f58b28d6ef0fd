"""A run as the registry knows it: its spec, its cycles, how it goes, and the versions of its LLM."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, computed_field
from pydantic.json_schema import SkipJsonSchema

from archloop.contracts.acts import Act
from archloop.contracts.base import Frozen, derived_id
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import AdapterRef
from services.registry.acts import NO_EXEMPLARS, Exemplars, RecordedAct, Steered, is_paused

COMPLETED = "completed"
CANCELLED = "cancelled"
OVER_BUDGET = "budget exhausted"
Status = Literal["running", "paused", "finished", "cancelled", "failed"]
UNDER_WAY: frozenset[Status] = frozenset({"running", "paused"})


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
