"""What the LLM had been tuned on when it wrote a cycle: the pairs of its adapter and of all that this one continues."""

from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import suppress
from typing import NamedTuple

from archloop.answers import edits
from archloop.blobs.port import Blobs
from archloop.contracts.base import type_of
from archloop.contracts.messages import TrainingRequested
from archloop.errors import IntegrityError, NotFound
from archloop.training_pairs import decoded
from services.registry.records import Cycle
from services.registry.stores.port import Store

_PAGE = 1000


class Compared(NamedTuple):
    """How many different answers a training was given as chosen ones, and as rejected ones."""

    chosen: int
    rejected: int


async def by_cycle(store: Store, blobs: Blobs, run_id: str) -> dict[int, Collection[str]]:
    """Collect their code, by the cycle that was written with it.

    A cycle of the base model is left out, and so is one of an adapter whose pairs are not all at hand, as where the
    run began with an adapter made elsewhere.
    """
    trainings = {message.adapter: message async for message in _requests(store, run_id)}
    cycles = await store.cycles(run_id)
    return {c.cycle: found for c in cycles if (found := await _of(c, trainings, blobs))}


async def compared(store: Store, blobs: Blobs, run_id: str) -> dict[int, Compared]:
    """Count the answers of each training that rejects any, by the cycle that it followed; not where they are gone."""
    found = {}
    async for training in _requests(store, run_id):
        if training.training.method == "sft":
            continue
        with suppress(NotFound, IntegrityError):
            pairs = decoded(await blobs.get(training.pairs), training.pairs.key)
            chosen = {(pair.prompt, pair.completion) for pair in pairs}
            rejected = {(pair.prompt, pair.rejected) for pair in pairs if pair.rejected is not None}
            found[training.cycle] = Compared(len(chosen), len(rejected))
    return found


async def _requests(store: Store, run_id: str) -> AsyncIterator[TrainingRequested]:
    after = 0
    while events := await store.events(after, run_id=run_id, limit=_PAGE):
        for event in events:
            if event.type == type_of(TrainingRequested):
                yield TrainingRequested.model_validate(event.data)
        after = events[-1].seq


async def _of(cycle: Cycle, trainings: dict[str, TrainingRequested], blobs: Blobs) -> Collection[str]:
    """Collect each once, in the order of training; nothing where one of its trainings is not known."""
    found: dict[str, None] = {}
    adapter = cycle.adapter
    while adapter is not None:
        if (training := trainings.get(adapter.adapter)) is None:
            return ()
        try:
            found = dict.fromkeys(_codes(training, await blobs.get(training.pairs))) | found
        except (NotFound, IntegrityError):
            return ()
        adapter = training.parent
    return found


def _codes(training: TrainingRequested, content: bytes) -> Iterator[str]:
    """Yield what was learnt; a rejected answer is learnt too by `negatives`, and by `dpo` only to be avoided."""
    for pair in decoded(content, training.pairs.key):
        yield edits.taught(pair.prompt, pair.completion)
        if training.training.method == "negatives" and pair.rejected is not None:
            yield edits.taught(pair.prompt, pair.rejected)
