"""What a run came to, cycle by cycle. The definitions are in docs/reference/metrics.md."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median

from archloop.contracts.base import Frozen
from archloop.contracts.spec import RunSpec
from archloop.errors import NotFound
from services.registry import measures
from services.registry.rates import Answer, Rates, answers, rates
from services.registry.records import Adapter, Candidate, CandidateQuery, Cycle, Status
from services.registry.store import Store


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


async def summarise(store: Store, run_id: str) -> Summary:
    """Of a run in any state. Raises NotFound."""
    run = await store.run(run_id)
    if run is None:
        raise NotFound("run", run_id)
    trained = {a.cycle: a for a in await store.adapters(run_id)}
    threshold = run.spec.selection.threshold
    cycles: list[CycleSummary] = []
    counted: list[Answer] = []
    for cycle in await store.cycles(run_id):
        own = (await store.candidates(CandidateQuery(run_id=run_id, cycle=cycle.cycle))).items
        before = cycles[-1].unique_total if cycles else 0
        given = answers(own)
        cycles.append(_cycle(cycle, own, rates(given, threshold), trained.get(cycle.cycle), before))
        counted += given  # all that is kept of a cycle, for a run may be long and is looked at every second
    return Summary(
        **run.model_dump(include={"run_id", "reason", "created", "finished"}),
        status=run.status,
        spec=run.spec,
        totals=rates(counted, threshold),
        unique_total=cycles[-1].unique_total if cycles else 0,
        seconds=_span([run.created], [run.finished]),
        cycles=tuple(cycles),
    )


def _cycle(
    cycle: Cycle, candidates: Sequence[Candidate], own: Rates, trained: Adapter | None, before: int
) -> CycleSummary:
    admitted = [c.judgement for c in candidates if c.admitted and c.judgement]
    families = Counter(judgement.family for judgement in admitted)
    return CycleSummary(
        **dict(own),
        cycle=cycle.cycle,
        closed=cycle.closed is not None,
        adapter=cycle.adapter.adapter if cycle.adapter else None,
        evaluated=sum(c.evaluation is not None for c in candidates),
        judged=sum(c.judgement is not None for c in candidates),
        unique_total=before + sum(c.admitted and c.novel for c in candidates),
        families=dict(families.most_common()),
        family_entropy_bits=measures.entropy_bits(families.values()),
        median_similarity=median(j.similarity for j in admitted) if admitted else None,
        pairs=trained.pair_count if trained else None,
        loss_curve=trained.loss_curve if trained else (),
        seconds=_seconds(cycle, candidates, trained),
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
