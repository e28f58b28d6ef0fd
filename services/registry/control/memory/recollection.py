"""Reads the rows of closed cycles into what the prompts of the next one choose from."""

from collections.abc import AsyncIterator, Iterable

from archloop import networks, protocols
from archloop.blobs import programs
from archloop.blobs.port import Blobs
from archloop.contracts.values import Outcome, Remembered
from archloop.errors import IntegrityError, NotFound
from services.registry.control import pairs
from services.registry.control.memory import failures, scores
from services.registry.control.memory.choice import NOTHING, Lesson, Lessons, Recollection
from services.registry.control.scored import Scored
from services.registry.records import Candidate, Run
from services.registry.stores.paging import pages
from services.registry.stores.port import Store


async def recollection(store: Store, blobs: Blobs, run: Run, cycle: int, known: Lessons) -> Recollection:
    """Return what prompts of this cycle choose from, by the rows of the cycles before it; nothing where none is asked.

    `known` are the lessons that were read before; those that are read now are added.
    """
    asked = run.spec.generation.memory
    if asked == "none":
        return NOTHING
    for number in range(cycle):
        if number not in known:
            known[number] = await _lesson(store, run, number)
    lessons = [known[number] for number in range(cycle)]
    kinds = failures.recent_by_kind([each.failures for each in lessons]) if asked != "scores" else ()
    if asked == "failures":
        return Recollection(kinds)
    found = scores.best_and_worst([each.scores for each in lessons], _images(run))
    best, worst = [await _said(store, blobs, group) for group in found]
    return Recollection(kinds, best, worst)


async def _lesson(store: Store, run: Run, cycle: int) -> Lesson:
    candidates = [each async for each in _candidates(store, run, cycle)]
    return Lesson(failures.tally(candidates), scores.extremes(_scored(candidates)))


async def _candidates(store: Store, run: Run, cycle: int) -> AsyncIterator[Candidate]:
    async for page in pages(store, run.run_id, cycle, run.spec.candidates):
        for candidate in page:
            yield candidate


def _scored(candidates: Iterable[Candidate]) -> Iterable[Scored]:
    """Return the networks that are told of: of those that compute the same, the first."""
    seen: set[str | None] = set()
    for candidate in candidates:
        if candidate.valid and candidate.judgement and not candidate.lost and candidate.code_sha256 not in seen:
            seen.add(candidate.code_sha256)
            yield pairs.scored(candidate)


async def _said(store: Store, blobs: Blobs, group: Iterable[Scored]) -> tuple[Remembered, ...]:
    """Return each in words; of those that read alike the first, and none whose code is gone."""
    said: dict[str, Remembered] = {}
    for each in group:
        text = await _described(store, blobs, each)
        if text is not None:
            said.setdefault(text, Remembered(outcome=Outcome.OK, text=text, accuracy=each.accuracy))
    return tuple(said.values())


async def _described(store: Store, blobs: Blobs, scored: Scored) -> str | None:
    source, candidate = await store.source(scored.candidate_id), await store.candidate(scored.candidate_id)
    if source is None or candidate is None or candidate.evaluation is None:
        return None
    try:
        code = await programs.text_of(source.code, blobs)
    except (NotFound, IntegrityError):
        return None
    return networks.described(code, scored.family, candidate.evaluation.parameters)


def _images(run: Run) -> int:
    return protocols.load(run.spec.protocol).dataset.validation
