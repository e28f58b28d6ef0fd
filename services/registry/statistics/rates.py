"""How many of some candidates are valid, novel, admitted, and at what cost: of a cycle, or of a whole run."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce
from statistics import fmean, median
from typing import Annotated, Any, NamedTuple

from archloop.contracts.base import Frozen, absent
from archloop.contracts.values import Family, Outcome, Verdict
from services.registry.control.budget import Spent
from services.registry.records import Candidate
from services.registry.statistics import intervals


class Rates(Frozen):
    """How many were written, how many are valid, how accurate those are, what all of it took. Null where undefined.

    `…_low` and `…_high` are 95 % intervals. Rates of verdicts are of the valid.

    Under a ladder `stopped` ones were above chance after a part of their training: they count in the valid rate, but
    not as `valid`, and have no accuracy that could stand beside others; `mean_rung_accuracy` is of all that came so
    far, whether they went on or not.
    """

    generated: int
    valid: int
    lost: int
    valid_rate: float | None
    valid_rate_low: float | None
    valid_rate_high: float | None
    mean_accuracy: float | None
    mean_accuracy_low: float | None
    mean_accuracy_high: float | None
    median_accuracy: float | None
    best_accuracy: float | None
    share_ge_threshold_trained: float | None
    share_ge_threshold_trained_low: float | None = None
    share_ge_threshold_trained_high: float | None = None
    share_ge_threshold_generated: float | None
    share_ge_threshold_generated_low: float | None = None
    share_ge_threshold_generated_high: float | None = None
    novel: int
    near_duplicate: int
    exact_duplicate: int
    novelty_rate: float | None = None
    novelty_rate_low: float | None = None
    novelty_rate_high: float | None = None
    near_duplicate_rate: float | None = None
    near_duplicate_rate_low: float | None = None
    near_duplicate_rate_high: float | None = None
    exact_duplicate_rate: float | None = None
    exact_duplicate_rate_low: float | None = None
    exact_duplicate_rate_high: float | None = None
    admitted: int
    family_count: int = 0
    outcomes: dict[str, int]
    tokens: int = 0
    tokens_per_admitted: float | None = None
    cost: float = 0.0
    evaluator_seconds: float = 0.0
    evaluator_seconds_per_admitted: float | None = None
    stopped: Annotated[int, absent(0)] = 0
    mean_rung_accuracy: Annotated[float | None, absent(None)] = None


class Observation(NamedTuple):
    """What is counted of one candidate: `accuracy` and `verdict` of a valid one only, `family` of an admitted one.

    `rung` is its accuracy on the rung of a ladder.
    """

    outcome: Outcome | None
    accuracy: float | None
    verdict: Verdict | None
    family: Family | None
    admitted: bool
    lost: bool
    spent: Spent
    rung: float | None = None


def observations(candidates: Iterable[Candidate]) -> list[Observation]:
    """Return an observation of each candidate that was answered, or given up."""
    return [
        Observation(
            outcome=c.evaluation.outcome if c.evaluation else None,
            accuracy=c.evaluation.accuracy or 0.0 if c.evaluation and c.valid else None,
            verdict=c.judgement.verdict if c.valid and c.judgement else None,
            family=c.judgement.family if c.admitted and c.judgement else None,
            admitted=c.admitted,
            lost=c.lost is not None,
            spent=Spent.on([c]),
            rung=c.evaluation.rung.accuracy if c.evaluation and c.evaluation.rung else None,
        )
        for c in candidates
        if c.code_sha256 is not None or c.lost is not None
    ]


def rates(given: Sequence[Observation], threshold: float) -> Rates:
    """Compute the rates pooled over all observations; `threshold` is the accuracy that counts as good."""
    accuracies = [o.accuracy for o in given if o.accuracy is not None]
    passed, valid = sum(accuracy >= threshold for accuracy in accuracies), len(accuracies)
    stopped, rungs = sum(o.outcome is Outcome.STOPPED for o in given), [o.rung for o in given if o.rung is not None]
    mean_low, mean_high = intervals.mean_interval(accuracies) or (None, None)
    return Rates(
        generated=len(given),
        valid=valid,
        lost=sum(o.lost for o in given),
        **_share("valid_rate", valid + stopped, len(given)),
        mean_accuracy=fmean(accuracies) if accuracies else None,
        mean_accuracy_low=mean_low,
        mean_accuracy_high=mean_high,
        median_accuracy=median(accuracies) if accuracies else None,
        best_accuracy=max(accuracies, default=None),
        **_share("share_ge_threshold_trained", passed, valid),
        **_share("share_ge_threshold_generated", passed, len(given)),
        **_verdicts(given, valid),
        outcomes=dict(Counter(o.outcome.value for o in given if o.outcome).most_common()),
        **_spent(given),
        stopped=stopped,
        mean_rung_accuracy=fmean(rungs) if rungs else None,
    )


def _share(name: str, part: int, whole: int) -> dict[str, Any]:
    low, high = intervals.wilson(part, whole) or (None, None)
    return {name: intervals.share(part, whole), f"{name}_low": low, f"{name}_high": high}


def _verdicts(given: Sequence[Observation], valid: int) -> dict[str, Any]:
    verdicts = Counter(o.verdict for o in given)
    novel, near, exact = (verdicts[v] for v in (Verdict.NOVEL, Verdict.NEAR_DUPLICATE, Verdict.EXACT_DUPLICATE))
    return {
        "novel": novel,
        "near_duplicate": near,
        "exact_duplicate": exact,
        **_share("novelty_rate", novel, valid),
        **_share("near_duplicate_rate", near, valid),
        **_share("exact_duplicate_rate", exact, valid),
    }


def _spent(given: Sequence[Observation]) -> dict[str, Any]:
    spent = reduce(Spent.plus, (o.spent for o in given), Spent())
    admitted = sum(o.admitted for o in given)
    return {
        "admitted": admitted,
        "family_count": len({o.family for o in given} - {None}),
        "tokens": spent.tokens,
        "tokens_per_admitted": intervals.share(spent.tokens, admitted),
        "cost": spent.cost,
        "evaluator_seconds": spent.evaluator_seconds,
        "evaluator_seconds_per_admitted": intervals.share(spent.evaluator_seconds, admitted),
    }
