"""Sets worse answers to the same prompt against those that a run learns from."""

from collections.abc import AsyncIterator, Sequence
from itertools import islice

from pydantic import ValidationError

from archloop import protocols
from archloop.blobs.port import Blobs
from archloop.errors import IntegrityError, InvalidInput, NotFound
from archloop.training_pairs import TrainingPair
from services.registry.control import completions, preferences
from services.registry.control.preferences import Answer, Group
from services.registry.records import Architecture, Run
from services.registry.stores.paging import pages
from services.registry.stores.port import Store

_TRIED = 32
"""So many candidates are looked at for one that answered the same prompt."""


async def pairs(store: Store, blobs: Blobs, run: Run, cycle: int, chosen: Sequence[Architecture]) -> list[TrainingPair]:
    """Return each chosen answer with one that failed and one that is worse, where there are such: two pairs at most.

    One without either is a pair of its own, with nothing rejected, but for `dpo`, which could not learn from it.
    """
    spec, images = run.spec, protocols.load(run.spec.protocol).dataset.validation
    known = [each async for each in _answers(store, run, cycle)]
    by_id = {each.candidate_id: each for each in chosen}
    found: list[TrainingPair] = []
    for each in preferences.preferred(by_id, known, spec.generation, images):
        better = by_id[each.chosen]
        pair = await completions.pair(store, blobs, better)
        if pair is not None:
            against = [await _against(store, blobs, pair, better, group) for group in (each.failed, each.worse)]
            found += [both for both in against if both is not None] or [pair]
    return [pair for pair in found if pair.rejected is not None or spec.training.method != "dpo"]


async def _answers(store: Store, run: Run, cycle: int) -> AsyncIterator[Answer]:
    for number in range(cycle + 1):
        async for page in pages(store, run.run_id, number):
            for candidate in page:
                if (answer := preferences.answer(candidate)) is not None:
                    yield answer


async def _against(
    store: Store, blobs: Blobs, pair: TrainingPair, better: Architecture, group: Group
) -> TrainingPair | None:
    """Return the pair with the first of the group that answered the same prompt as it was asked, and is on record."""
    asked = await store.source(better.candidate_id)
    for candidate_id in islice(group, _TRIED):
        source = await store.source(candidate_id)
        if source is None or asked is None or source.prompt != asked.prompt:
            continue
        try:
            text = await completions.text(store, blobs, source, better.parent)
            both = TrainingPair(prompt=pair.prompt, completion=pair.completion, rejected=text)
        except (ValidationError, InvalidInput, NotFound, IntegrityError):
            continue
        if text != pair.completion:
            return both
    return None
