"""What the LLM had been tuned on when it wrote a cycle: the pairs of its adapter and of all that this one continues."""

from collections.abc import Collection, Iterator

from archloop.answers import edits
from archloop.blobs.port import Blobs
from archloop.contracts.messages import TrainingRequested
from archloop.errors import IntegrityError, NotFound
from archloop.training_pairs import decoded
from services.registry.records import Cycle
from services.registry.statistics import trainings
from services.registry.stores.port import Store


async def by_cycle(store: Store, blobs: Blobs, run_id: str) -> dict[int, Collection[str]]:
    """Collect their code, by the cycle that was written with it.

    A cycle of the base model is left out, and so is one of an adapter whose pairs are not all at hand, as where the
    run began with an adapter made elsewhere.
    """
    known = {message.adapter: message async for message in trainings.requested(store, run_id)}
    cycles = await store.cycles(run_id)
    return {c.cycle: found for c in cycles if (found := await _of(c, known, blobs))}


async def _of(cycle: Cycle, known: dict[str, TrainingRequested], blobs: Blobs) -> Collection[str]:
    """Collect each once, in the order of training; nothing where one of its trainings is not known."""
    found: dict[str, None] = {}
    adapter = cycle.adapter
    while adapter is not None:
        if (training := known.get(adapter.adapter)) is None:
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
