"""What a run will come to, before it is asked for: how much of what, by the pace of runs that are on record."""

from typing import NamedTuple

from archloop.contracts.spec import RunSpec
from services.registry.page.library import Entry, Library
from services.registry.records import CandidateQuery

_LOOKED_THROUGH = 50
_SAMPLE = 100


class Forecast(NamedTuple):
    """The most that a run asks for, and what an evaluation and an answer took in an earlier run, where there is one."""

    candidates: int
    trainings: int
    limits: dict[str, float]
    like: str = ""
    evaluator_seconds: float | None = None
    tokens: float | None = None


async def of(library: Library, spec: RunSpec) -> Forecast:
    """Look ahead."""
    total = spec.cycles * spec.candidates
    trainings = 0 if spec.frozen else spec.cycles - 1
    made = Forecast(total, trainings, spec.budget.limits())
    entry = await _like(library, spec)
    if entry is None:
        return made
    query = CandidateQuery(run_id=entry.run.run_id, limit=_SAMPLE)
    found = (await entry.shelf.store.candidates(query)).items
    seconds = [c.evaluation.seconds for c in found if c.evaluation]
    tokens = [c.usage.tokens for c in found if c.usage]
    return made._replace(
        like=entry.key,
        evaluator_seconds=total * sum(seconds) / len(seconds) if seconds else None,
        tokens=total * sum(tokens) / len(tokens) if tokens else None,
    )


async def _like(library: Library, spec: RunSpec) -> Entry | None:
    """Find the latest run of this protocol and language model."""
    found = (await library.entries(0, _LOOKED_THROUGH)).items
    same = (e for e in found if (e.run.spec.protocol, e.run.spec.base_model) == (spec.protocol, spec.base_model))
    return next(same, None)
