"""What a run has spent, and whether that is all that it may. Pure functions."""

from collections.abc import Iterable
from typing import NamedTuple, Self

from archloop.contracts.base import Message
from archloop.contracts.budget import BudgetSpec
from archloop.contracts.messages import CandidateEvaluatedFailed, CandidateEvaluatedOk, CandidateGenerated
from services.registry.records import OVER_BUDGET, Candidate


class Spent(NamedTuple):
    """What a run, or one of its cycles, has spent: seconds in which candidates ran, and the model server's `cost`."""

    candidates: int = 0
    tokens: int = 0
    cost: float = 0.0
    evaluator_seconds: float = 0.0

    @classmethod
    def on(cls, candidates: Iterable[Candidate]) -> Self:
        """Sum up what was spent on these candidates."""
        written = [c for c in candidates if c.generated is not None]
        usages = [c.usage for c in written if c.usage is not None]
        return cls(
            candidates=len(written),
            tokens=sum(usage.tokens for usage in usages),
            cost=sum(usage.cost for usage in usages),
            evaluator_seconds=sum(c.evaluation.seconds for c in written if c.evaluation is not None),
        )

    @classmethod
    def of(cls, message: Message) -> Self:
        """Return what the message says was spent. Count each message once."""
        if isinstance(message, CandidateGenerated):
            return cls(candidates=1, tokens=message.usage.tokens, cost=message.usage.cost)
        if isinstance(message, CandidateEvaluatedOk | CandidateEvaluatedFailed):
            return cls(evaluator_seconds=message.evaluation.seconds)
        return cls()

    def plus(self, other: "Spent") -> "Spent":
        """Return the sum of both."""
        return Spent(
            self.candidates + other.candidates,
            self.tokens + other.tokens,
            self.cost + other.cost,
            self.evaluator_seconds + other.evaluator_seconds,
        )


def exhausted(budget: BudgetSpec, spent: Spent, wall_seconds: float) -> str | None:
    """Return the reason why a run must end, or None while it may go on."""
    used = spent._asdict() | {"wall_seconds": wall_seconds}
    for name, limit in budget.limits().items():
        if used[name] >= limit:
            return f"{OVER_BUDGET}: {name} {used[name]:,.10g} of {limit:,.10g}"
    return None
