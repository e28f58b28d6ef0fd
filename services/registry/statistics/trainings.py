"""What trainings were asked for, and how many answers each learns from and rejects."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import NamedTuple

from archloop.blobs.port import Blobs
from archloop.contracts.base import type_of
from archloop.contracts.messages import TrainingRequested
from archloop.errors import IntegrityError, NotFound
from archloop.training_pairs import decoded
from services.registry.stores.port import Store


class Compared(NamedTuple):
    """How many different answers a training was given as chosen ones, and as rejected ones."""

    chosen: int
    rejected: int


async def compared(store: Store, blobs: Blobs, run_id: str) -> dict[int, Compared]:
    """Count the answers of each training that rejects any, by the cycle that it followed; not where they are gone."""
    found = {}
    async for training in requested(store, run_id):
        if training.training.method == "sft":
            continue
        with suppress(NotFound, IntegrityError):
            pairs = decoded(await blobs.get(training.pairs), training.pairs.key)
            chosen = {(pair.prompt, pair.completion) for pair in pairs}
            rejected = {(pair.prompt, pair.rejected) for pair in pairs if pair.rejected is not None}
            found[training.cycle] = Compared(len(chosen), len(rejected))
    return found


async def requested(store: Store, run_id: str) -> AsyncIterator[TrainingRequested]:
    """Yield the requests for training of the run, in order."""
    after = 0
    while events := await store.events(after, run_id=run_id, types=(type_of(TrainingRequested),)):
        for event in events:
            yield TrainingRequested.model_validate(event.data)
        after = events[-1].seq
