"""What a run came to, cycle by cycle. The definitions are in docs/reference/metrics.md."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import reduce
from statistics import fmean, median
from typing import NamedTuple

from archloop.contracts.base import Frozen
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import Outcome, Verdict
from archloop.errors import NotFound
from services.registry import measures
from services.registry.budget import Spent
from services.registry.records import Adapter, Candidate, CandidateQuery, Cycle, Status
from services.registry.store import Store


class Rates(Frozen):
    """How many were written, how many are valid, how accurate those are, what all of it took. Null where undefined."""

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
    share_ge_threshold_generated: float | None
    novel: int
    near_duplicate: int
    exact_duplicate: int
    admitted: int
    outcomes: dict[str, int]
    tokens: int = 0
    cost: float = 0.0
    evaluator_seconds: float = 0.0


class Seconds(Frozen):
    """Wall seconds from the first to the last event of each step; steps overlap."""

    generate: float | None = None
    evaluate: float | None = None
    judge: float | None = None
    train: float | None = None
    total: float | None = None


class CycleSummary(Rates):
    """One cycle. `adapter` wrote it; `pairs` and `loss_curve` are those of the training that followed it."""

    cycle: int
    closed: bool
    adapter: str | None
    evaluated: int
    judged: int
    unique_total: int
    families: dict[str, int]
    family_entropy_bits: float | None
    median_similarity: float | None
    pairs: int | None
    loss_curve: tuple[float, ...]
    seconds: Seconds


class Summary(Frozen):
    """A whole run. `totals` pools every candidate of it."""

    run_id: str
    status: Status
    reason: str | None
    created: datetime
    finished: datetime | None
    spec: RunSpec
    totals: Rates
    unique_total: int
    seconds: float | None
    cycles: tuple[CycleSummary, ...]


class _Answer(NamedTuple):
    """What is counted of one candidate. `accuracy` and `verdict` of a valid one only."""

    outcome: Outcome | None
    accuracy: float | None
    verdict: Verdict | None
    admitted: bool
    lost: bool
    spent: Spent


async def summarise(store: Store, run_id: str) -> Summary:
    """Of a run in any state. Raises NotFound."""
    run = await store.run(run_id)
    if run is None:
        raise NotFound("run", run_id)
    trained = {a.cycle: a for a in await store.adapters(run_id)}
    threshold = run.spec.selection.threshold
    cycles: list[CycleSummary] = []
    answers: list[_Answer] = []
    for cycle in await store.cycles(run_id):
        own = (await store.candidates(CandidateQuery(run_id=run_id, cycle=cycle.cycle))).items
        before = cycles[-1].unique_total if cycles else 0
        counted = _answers(own)
        cycles.append(_cycle(cycle, own, _rates(counted, threshold), trained.get(cycle.cycle), before))
        answers += counted  # all that is kept of a cycle, for a run may be long and is looked at every second
    return Summary(
        **run.model_dump(include={"run_id", "reason", "created", "finished"}),
        status=run.status,
        spec=run.spec,
        totals=_rates(answers, threshold),
        unique_total=cycles[-1].unique_total if cycles else 0,
        seconds=_span([run.created], [run.finished]),
        cycles=tuple(cycles),
    )


def _cycle(
    cycle: Cycle, candidates: Sequence[Candidate], rates: Rates, trained: Adapter | None, before: int
) -> CycleSummary:
    admitted = [c.judgement for c in candidates if c.admitted and c.judgement]
    families = Counter(judgement.family for judgement in admitted)
    return CycleSummary(
        **dict(rates),
        cycle=cycle.cycle,
        closed=cycle.closed is not None,
        adapter=cycle.adapter.adapter if cycle.adapter else None,
        evaluated=sum(c.evaluation is not None for c in candidates),
        judged=sum(c.judgement is not None for c in candidates),
        unique_total=before + len(admitted),
        families=dict(families.most_common()),
        family_entropy_bits=measures.entropy_bits(families.values()),
        median_similarity=median(j.similarity for j in admitted) if admitted else None,
        pairs=trained.pair_count if trained else None,
        loss_curve=trained.loss_curve if trained else (),
        seconds=_seconds(cycle, candidates, trained),
    )


def _answers(candidates: Iterable[Candidate]) -> list[_Answer]:
    """Of those that were answered, or given up."""
    return [
        _Answer(
            outcome=c.evaluation.outcome if c.evaluation else None,
            accuracy=c.evaluation.accuracy or 0.0 if c.evaluation and c.valid else None,
            verdict=c.judgement.verdict if c.valid and c.judgement else None,
            admitted=c.admitted,
            lost=c.lost is not None,
            spent=Spent.on([c]),
        )
        for c in candidates
        if c.code_sha256 is not None or c.lost is not None
    ]


def _rates(answers: Sequence[_Answer], threshold: float) -> Rates:
    accuracies = [a.accuracy for a in answers if a.accuracy is not None]
    passed = sum(accuracy >= threshold for accuracy in accuracies)
    verdicts = Counter(a.verdict for a in answers)
    valid_low, valid_high = measures.wilson(len(accuracies), len(answers)) or (None, None)
    mean_low, mean_high = measures.mean_interval(accuracies) or (None, None)
    spent = reduce(Spent.plus, (a.spent for a in answers), Spent())
    return Rates(
        generated=len(answers),
        valid=len(accuracies),
        lost=sum(a.lost for a in answers),
        valid_rate=measures.share(len(accuracies), len(answers)),
        valid_rate_low=valid_low,
        valid_rate_high=valid_high,
        mean_accuracy=fmean(accuracies) if accuracies else None,
        mean_accuracy_low=mean_low,
        mean_accuracy_high=mean_high,
        median_accuracy=median(accuracies) if accuracies else None,
        best_accuracy=max(accuracies, default=None),
        share_ge_threshold_trained=measures.share(passed, len(accuracies)),
        share_ge_threshold_generated=measures.share(passed, len(answers)),
        novel=verdicts[Verdict.NOVEL],
        near_duplicate=verdicts[Verdict.NEAR_DUPLICATE],
        exact_duplicate=verdicts[Verdict.EXACT_DUPLICATE],
        admitted=sum(a.admitted for a in answers),
        outcomes=dict(Counter(a.outcome.value for a in answers if a.outcome).most_common()),
        tokens=spent.tokens,
        cost=spent.cost,
        evaluator_seconds=spent.evaluator_seconds,
    )


def _seconds(cycle: Cycle, candidates: Sequence[Candidate], trained: Adapter | None) -> Seconds:
    generated = [c.generated for c in candidates]
    evaluated = [c.evaluated for c in candidates]
    return Seconds(
        generate=_span([cycle.opened], generated),
        evaluate=_span(generated, evaluated),
        judge=_span(evaluated, [c.judged for c in candidates]),
        train=_span([cycle.closed], [trained.trained if trained else None]),
        total=_span([cycle.opened], [cycle.closed, trained.trained if trained else None]),
    )


def _span(starts: Iterable[datetime | None], ends: Iterable[datetime | None]) -> float | None:
    """Seconds from the first start to the last end."""
    first = min((t for t in starts if t is not None), default=None)
    last = max((t for t in ends if t is not None), default=None)
    return None if first is None or last is None else max(0.0, (last - first).total_seconds())
