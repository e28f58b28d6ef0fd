"""Ways through what a registry has on record: a candidate by its place, its parents and edits, differences of code."""

import difflib
import re
from collections.abc import Iterator
from typing import NamedTuple

from archloop.contracts.base import candidate_id
from archloop.errors import InvalidInput, NotFound
from archloop_lab.registries import Registry
from services.registry.records import Candidate, CandidateQuery

_PLACE = re.compile(r"(\d{1,9})/(\d{1,9})")
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BEGINNING = re.compile(r"[0-9a-f-]{4,35}")
_DEEPEST = 200


class Step(NamedTuple):
    """A candidate, so many edits below the one that the walk began at; above it they count downwards from 0."""

    candidate: Candidate
    depth: int


async def named(registry: Registry, run_id: str, name: str) -> Candidate:
    """Return the candidate of this place, CYCLE/INDEX, or id, or beginning of one. Raises NotFound, InvalidInput."""
    if place := _PLACE.fullmatch(name):
        try:
            return await registry.candidate(candidate_id(run_id, int(place[1]), int(place[2])))
        except NotFound:
            raise NotFound("candidate", name) from None
    if _ID.fullmatch(name):
        return await registry.candidate(name)
    if not _BEGINNING.fullmatch(name):
        raise InvalidInput("CANDIDATE", name, "CYCLE/INDEX, an id, or four or more characters that it begins with")
    query = CandidateQuery(run_id=run_id)
    found = [c for c in await registry.found(query) if c.candidate_id.startswith(name)]
    if not found:
        raise NotFound("candidate", name)
    if len(found) > 1:
        raise InvalidInput("CANDIDATE", name, f"the beginning of one id; {len(found)} begin so")
    return found[0]


def place(candidate: Candidate) -> str:
    """Return where the candidate stands: CYCLE/INDEX, or the name under which another system submitted it."""
    return candidate.submission or f"{candidate.cycle}/{candidate.index}"


async def lineage(registry: Registry, candidate: Candidate) -> list[Step]:
    """Return what the candidate is an edit of, the oldest first, then itself, then its own edits."""
    above = [candidate]
    while above[-1].parent is not None and len(above) < _DEEPEST:
        above.append(await registry.candidate(above[-1].parent))
    steps = [Step(each, -depth) for depth, each in enumerate(above)][::-1]
    below = await registry.found(CandidateQuery(run_id=candidate.run_id, parent=candidate.candidate_id))
    return [*steps, *(Step(each, 1) for each in below)]


def difference(before: str, after: str, names: tuple[str, str]) -> Iterator[str]:
    """Yield the lines of a unified diff, without their ends."""
    return difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="")
