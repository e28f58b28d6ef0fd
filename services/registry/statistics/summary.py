"""What a run came to, cycle by cycle. The definitions are in docs/reference/metrics.md."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Annotated

from archloop.contracts.base import Frozen, absent
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import Family
from archloop.errors import NotFound
from services.registry.acts import ActSummary, listed
from services.registry.records import Adapter, Candidate, Cycle, Status
from services.registry.statistics import intervals
from services.registry.statistics.lineage import Edited, Edits, Lineage, edits
from services.registry.statistics.rates import Observation, Rates, observations, rates
from services.registry.stores.paging import pages
from services.registry.stores.port import Store


class Seconds(Frozen):
    """Wall seconds from the first to the last event of each step; steps overlap."""

    generate: float | None = None
    evaluate: float | None = None
    judge: float | None = None
    train: float | None = None
    total: float | None = None


class CycleSummary(Rates):
    """One cycle. `adapter` wrote it; `pairs` and `loss_curve` are those of the training that followed it.

    `cells` and `qd_score` are those of an archive of all valid networks up to this cycle, whether the run keeps one or
    not: how many cells of family, size and cost are not empty, and the sum of the best accuracy in each. `submitted`
    are the networks that people gave the run, which nothing else here counts but those two.
    """

    cycle: int
    closed: bool
    adapter: str | None
    evaluated: int
    judged: int
    unique_total: int
    families: dict[Family, int]
    family_entropy_bits: float | None
    median_similarity: float | None
    pairs: int | None
    loss_curve: tuple[float, ...]
    cells: int = 0
    qd_score: float = 0.0
    edits: Annotated[Edits | None, absent(None)] = None
    submitted: Annotated[int, absent(0)] = 0
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
    acts: Annotated[tuple[ActSummary, ...], absent(())] = ()
    cycles: tuple[CycleSummary, ...]


async def summarise(store: Store, run_id: str) -> Summary:
    """Summarise a run in any state. Raises NotFound.

    Of one that was cancelled only what was settled counts, and in no run what people submitted.
    """
    run = await store.run(run_id)
    if run is None:
        raise NotFound("run", run_id)
    trained = {a.cycle: a for a in await store.adapters(run_id)}
    threshold = run.spec.selection.threshold
    cycles: list[CycleSummary] = []
    counted: list[Observation] = []
    lineage = Lineage()
    known = await store.cycles(run_id)
    for cycle in known:
        seen = _Seen(lineage)
        async for page in pages(store, run_id, cycle.cycle):
            seen.add(page if run.status != "cancelled" else [each for each in page if each.awaits is None])
        before = cycles[-1].unique_total if cycles else 0
        cycles.append(_cycle(cycle, seen, rates(seen.observations, threshold), trained.get(cycle.cycle), before))
        counted += seen.observations
    return Summary(
        **run.model_dump(include={"run_id", "reason", "created", "finished"}),
        status=run.status,
        spec=run.spec,
        totals=rates(counted, threshold),
        unique_total=cycles[-1].unique_total if cycles else 0,
        seconds=_span([run.created], [run.finished]),
        acts=tuple(listed(run.acts, [(c.cycle, c.steered.acts) for c in known if c.steered])),
        cycles=tuple(cycles),
    )


@dataclass
class _Seen:
    """What is kept of a cycle's candidates: not all, for a run may be long and is looked at every second."""

    lineage: Lineage
    observations: list[Observation] = field(default_factory=list)
    edited: list[Edited] = field(default_factory=list)
    evaluated: int = 0
    judged: int = 0
    unique: int = 0
    submitted: int = 0
    families: Counter[Family] = field(default_factory=Counter)
    similarities: list[float] = field(default_factory=list)
    times: dict[str, list[datetime]] = field(default_factory=dict)

    def add(self, candidates: Sequence[Candidate]) -> None:
        """Count some more candidates; those that people submitted are counted apart."""
        self.edited += self.lineage.add(candidates)
        self.submitted += sum(bool(c.submitter) for c in candidates)
        candidates = [c for c in candidates if not c.submitter]
        admitted = [c.judgement for c in candidates if c.admitted and c.judgement]
        self.observations += observations(candidates)
        self.evaluated += sum(c.evaluation is not None for c in candidates)
        self.judged += sum(c.judgement is not None for c in candidates)
        self.unique += sum(c.admitted and c.novel for c in candidates)
        self.families.update(judgement.family for judgement in admitted)
        self.similarities += [judgement.similarity for judgement in admitted]
        for step in ("generated", "evaluated", "judged"):
            at = [t for c in candidates if (t := getattr(c, step)) is not None]
            known = self.times.get(step, []) + at
            self.times[step] = [min(known), max(known)] if known else []


def _cycle(cycle: Cycle, seen: _Seen, own: Rates, trained: Adapter | None, before: int) -> CycleSummary:
    return CycleSummary(
        **dict(own),
        cycle=cycle.cycle,
        closed=cycle.closed is not None,
        adapter=cycle.adapter.adapter if cycle.adapter else None,
        evaluated=seen.evaluated,
        judged=seen.judged,
        unique_total=before + seen.unique,
        families=dict(seen.families.most_common()),
        family_entropy_bits=intervals.entropy_bits(seen.families.values()),
        median_similarity=median(seen.similarities) if seen.similarities else None,
        pairs=trained.pair_count if trained else None,
        loss_curve=trained.loss_curve if trained else (),
        cells=seen.lineage.archive.coverage,
        qd_score=seen.lineage.archive.qd_score,
        edits=edits(seen.edited),
        submitted=seen.submitted,
        seconds=_seconds(cycle, seen.times, trained),
    )


def _seconds(cycle: Cycle, times: Mapping[str, Sequence[datetime]], trained: Adapter | None) -> Seconds:
    generated, evaluated, judged = (times.get(step, ()) for step in ("generated", "evaluated", "judged"))
    return Seconds(
        generate=_span([cycle.opened], generated),
        evaluate=_span(generated, evaluated),
        judge=_span(evaluated, judged),
        train=_span([cycle.closed], [trained.trained if trained else None]),
        total=_span([cycle.opened], [cycle.closed, trained.trained if trained else None]),
    )


def _span(starts: Iterable[datetime | None], ends: Iterable[datetime | None]) -> float | None:
    """Return the seconds from the first start to the last end."""
    first = min((t for t in starts if t is not None), default=None)
    last = max((t for t in ends if t is not None), default=None)
    return None if first is None or last is None else max(0.0, (last - first).total_seconds())
