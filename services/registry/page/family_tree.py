"""Where a network comes from, and what was made of it: edits of edits, up and down."""

from services.registry.records import Candidate, CandidateQuery
from services.registry.stores.port import Store

_DEEPEST = 200
_MOST = 100


async def ancestors(store: Store, candidate: Candidate) -> list[Candidate]:
    """Return the candidates that this one goes back to, the nearest first."""
    found: list[Candidate] = []
    seen = {candidate.candidate_id}
    parent = candidate.parent
    while parent is not None and parent not in seen and len(found) < _DEEPEST:
        seen.add(parent)
        if (above := await store.candidate(parent)) is None:
            break
        found.append(above)
        parent = above.parent
    return found


async def children(store: Store, candidate: Candidate) -> tuple[Candidate, ...]:
    """Return the first edits of this one."""
    query = CandidateQuery(run_id=candidate.run_id, parent=candidate.candidate_id, limit=_MOST)
    return (await store.candidates(query)).items
