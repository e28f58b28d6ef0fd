"""Fetches the code of the candidates that a cycle's candidates are edits of."""

from archloop.answers import edits
from archloop.blobs.port import Blobs
from archloop.contracts.values import Parent
from services.registry.control import pairs, parents
from services.registry.control.program import program
from services.registry.control.scored import Scored
from services.registry.records import Run
from services.registry.stores.paging import candidates
from services.registry.stores.port import Store

_CHARACTERS = 3
"""So many a token has at least, on average, in code: a longer parent might fit in no pair that is tuned on."""


async def pool(store: Store, blobs: Blobs, run: Run, cycle: int) -> parents.Pool:
    """Return the parents of this cycle's candidates, from the cycles before it, which are closed; () for none."""
    generation = run.spec.generation
    if generation.mode == "whole":
        return ()
    rows = [each async for each in candidates(store, run, range(cycle)) if each.judged and each.evaluation]
    copies = generation.parents == "aging"  # every child lives until it is old
    possible = [parents.possible(candidate, pairs.scored(candidate), copies=copies) for candidate in rows]
    found = [each for each in possible if each is not None]
    groups = [
        await _taken(store, blobs, run, group) for group in parents.groups(found, generation.parents, run.exemplars)
    ]
    return (sum(groups, ()),) if generation.parents == "archive" else tuple(groups)


async def _taken(store: Store, blobs: Blobs, run: Run, group: parents.Group) -> tuple[Parent, ...]:
    taken: list[Parent] = []
    for member in group.members:
        if len(taken) == group.most:
            break
        if (parent := await _parent(store, blobs, run, member)) is not None:
            taken.append(parent)
    return tuple(taken)


async def _parent(store: Store, blobs: Blobs, run: Run, member: Scored) -> Parent | None:
    """Return None where the code is gone, or cannot be shown and edited."""
    known = await program(store, blobs, member.candidate_id)
    if known is None or edits.unusable(known.text, _CHARACTERS * run.spec.training.max_length):
        return None
    return Parent(candidate=member.candidate_id, code=known.code, accuracy=member.accuracy)
