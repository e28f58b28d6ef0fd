"""Reads the rows of closed cycles into what the prompts of the next one choose from."""

import math
from collections.abc import Iterable

from archloop import networks, protocols
from archloop.blobs.port import Blobs
from archloop.contracts.values import Outcome, Remembered
from services.registry.control import pairs
from services.registry.control.memory import failures, scores
from services.registry.control.memory.choice import NOTHING, Lesson, Lessons, Recollection
from services.registry.control.program import program
from services.registry.control.scored import Scored
from services.registry.records import Candidate, Run
from services.registry.stores.paging import candidates
from services.registry.stores.port import Store


async def recollection(store: Store, blobs: Blobs, run: Run, cycle: int, known: Lessons) -> Recollection:
    """Return what prompts of this cycle choose from, by the rows of the cycles before it; nothing where none is asked.

    `known` are the lessons that were read before, with the same exemplars; those that are read now are added.
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
    pinned = await _pinned(store, run, cycle)
    best, worst = [await _said(store, blobs, group) for group in ((*pinned, *found.best), found.worst)]
    return Recollection(kinds, best, worst)


async def _lesson(store: Store, run: Run, cycle: int) -> Lesson:
    banned = run.exemplars.banned
    rows = [each async for each in candidates(store, run, [cycle]) if each.candidate_id not in banned]
    return Lesson(failures.tally(rows), scores.extremes(_scored(rows)))


async def _pinned(store: Store, run: Run, cycle: int) -> list[Scored]:
    """Return the pinned networks of the cycles before this one."""
    rows = [await store.candidate(name) for name in run.exemplars.pinned]
    earlier = (row for row in rows if row is not None and (row.cycle or 0) < cycle)
    return [pairs.scored(row) for row in earlier if row.valid and row.judgement and not row.lost]


def _scored(rows: Iterable[Candidate]) -> Iterable[Scored]:
    """Return the networks that are told of: of those that compute the same, the first."""
    seen: set[str | None] = set()
    for candidate in rows:
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
    known = await program(store, blobs, scored.candidate_id)
    if known is None:
        return None
    parameters = int(scored.parameters) if math.isfinite(scored.parameters) else None
    return networks.described(known.text, scored.family, parameters)


def _images(run: Run) -> int:
    return protocols.load(run.spec.protocol).dataset.validation
