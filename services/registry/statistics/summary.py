"""What a run came to, cycle by cycle. The definitions are in docs/reference/metrics.md."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from statistics import median
from typing import Annotated, NamedTuple

from archloop.contracts.base import Frozen, absent
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import Collapse, Family
from archloop.errors import NotFound
from services.registry.acts import ActSummary, listed
from services.registry.control import collapse
from services.registry.control.archive import Quality
from services.registry.control.collapse import Diversity
from services.registry.records import Adapter, Candidate, Cycle, Run, Status
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
    collapse: Annotated[Collapse | None, absent(None)] = None
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
    return (await Reading(store, run_id).read()).summary


class Read(NamedTuple):
    """A summary, and the accuracies of the valid candidates of each cycle."""

    summary: Summary
    accuracies: Mapping[int, Sequence[float]]


class Reading:
    """Summarises a run again and again while it goes on. The candidates of a closed cycle are read once."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store, self._run_id = store, run_id
        self._lineage, self._closed = Lineage(), dict[int, _Seen]()

    async def read(self) -> Read:
        """Summarise the run as it is now. Raises NotFound."""
        run = await self._store.run(self._run_id)
        if run is None:
            raise NotFound("run", self._run_id)
        trained = {a.cycle: a for a in await self._store.adapters(self._run_id)}
        threshold, unique = run.spec.selection.threshold, 0
        cycles: list[CycleSummary] = []
        counted: list[Observation] = []
        accuracies: dict[int, list[float]] = {}
        known = await self._store.cycles(self._run_id)
        for cycle in known:
            seen = await self._seen(run, cycle)
            own = rates(seen.observations, threshold)
            cycles.append(_cycle(cycle, seen, own, trained.get(cycle.cycle), unique))
            unique = cycles[-1].unique_total
            counted += seen.observations
            accuracies[cycle.cycle] = [o.accuracy for o in seen.observations if o.accuracy is not None]
        summary = Summary(
            **run.model_dump(include={"run_id", "reason", "created", "finished"}),
            status=run.status,
            spec=run.spec,
            totals=rates(counted, threshold),
            unique_total=unique,
            seconds=_span([run.created], [run.finished]),
            acts=tuple(listed(run.acts, known)),
            cycles=tuple(_watched(cycles, run.spec)),
        )
        return Read(summary, accuracies)

    async def _seen(self, run: Run, cycle: Cycle) -> "_Seen":
        """Read a cycle's candidates, unless that was done when it was closed."""
        if cycle.cycle in self._closed:
            return self._closed[cycle.cycle]
        lineage, seen = self._lineage.copy(), _Seen()
        async for page in pages(self._store, self._run_id, cycle.cycle):
            counted = page if run.status != "cancelled" else [each for each in page if each.awaits is None]
            seen.add(counted)
            seen.edited += lineage.add(counted)
        seen.archive = lineage.archive
        if cycle.closed is not None:
            self._closed[cycle.cycle], self._lineage = seen, lineage
        return seen


def _watched(cycles: Sequence[CycleSummary], spec: RunSpec) -> Iterator[CycleSummary]:
    """Yield the cycles, closed ones with what was seen of collapse, where the run is watched for it."""
    seen = [Diversity(c.novel + c.near_duplicate + c.exact_duplicate, c.novel) for c in cycles]
    for number, cycle in enumerate(cycles, 1):
        if spec.collapse is None or not cycle.closed:
            yield cycle
        else:
            yield cycle.model_copy(update={"collapse": collapse.watched(seen[:number], spec.collapse)})


@dataclass
class _Seen:
    """What is kept of a cycle's candidates: not all, for a run may be long and is looked at every second."""

    observations: list[Observation] = field(default_factory=list)
    edited: list[Edited] = field(default_factory=list)
    evaluated: int = 0
    judged: int = 0
    unique: int = 0
    submitted: int = 0
    families: Counter[Family] = field(default_factory=Counter)
    similarities: list[float] = field(default_factory=list)
    times: dict[str, list[datetime]] = field(default_factory=dict)
    archive: Quality = field(default_factory=partial(Quality, 0, 0.0))

    def add(self, candidates: Sequence[Candidate]) -> None:
        """Count some more candidates; those that people submitted are counted apart."""
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
        cells=seen.archive.coverage,
        qd_score=seen.archive.qd_score,
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
