"""Training pairs as JSON lines: what was asked, and the answer in exactly the form that generation expects."""

import math
from collections.abc import Iterable, Sequence

from archloop.blobs.port import Blobs
from archloop.blobs.sound import put_sound
from archloop.contracts.values import BlobRef, sha256_of
from archloop.training_pairs import TrainingPair, encoded
from services.registry.control import completions, rejections, selection
from services.registry.control.scored import Scored
from services.registry.records import Architecture, Candidate, Run
from services.registry.stores.port import Store


def scored(candidate: Candidate) -> Scored:
    """Return a judged candidate as selection sees it."""
    assert candidate.evaluation is not None
    assert candidate.judgement is not None
    return Scored(
        candidate.candidate_id,
        candidate.cycle or 0,
        candidate.index or 0,
        candidate.evaluation.accuracy or 0.0,
        candidate.judgement.family,
        _size(candidate.evaluation.parameters),
        _size(candidate.evaluation.flops),
    )


async def lines(store: Store, blobs: Blobs, run: Run, cycle: int) -> list[str]:
    """Return the pairs to tune on after this cycle, one JSON object each, in an order that depends on the rows alone.

    There are none where nothing was admitted to learn from, or, for `dpo`, nothing that is better than another answer.
    """
    admitted = [a for a in (await store.architectures(run.run_id)).items if a.candidate_id not in run.exemplars.banned]
    improving = run.spec.selection.improving
    if improving:
        admitted = await _improving(store, run, admitted)
    current = [_scored(a) for a in admitted if a.cycle == cycle]
    if improving and not current:  # what it knows already, again and again, is all that it would know in the end
        return []
    earlier = [_scored(a) for a in admitted if a.cycle < cycle]
    by_id = {a.candidate_id: a for a in admitted}
    ranked = selection.training(current, earlier, run.spec.selection, run.exemplars.pinned)
    chosen = [by_id[s.candidate_id] for s in ranked]
    own = [pair.line() for pair in await _pairs(store, blobs, run, cycle, chosen)]
    return [*own, *await _bootstrap(blobs, run)] if own else []


async def _improving(store: Store, run: Run, admitted: Iterable[Architecture]) -> list[Architecture]:
    """Leave out edits that are less accurate than their parents, and whole networks where only edits are asked for.

    What is pinned stays.
    """
    accuracies: dict[str, float] = {}
    for parent in {each.parent for each in admitted if each.parent}:
        found = await store.candidate(parent)
        if found is not None and found.evaluation is not None:
            accuracies[parent] = found.evaluation.accuracy or 0.0
    whole = run.spec.generation.edited < 1
    return [
        each
        for each in admitted
        if each.candidate_id in run.exemplars.pinned
        or (whole if each.parent is None else each.accuracy >= accuracies.get(each.parent, 0.0))
    ]


async def put_bootstrap(blobs: Blobs, pairs: Iterable[str]) -> BlobRef:
    """Store the lines that a run is to begin with; the same ones once only."""
    content = encoded(pairs)
    return await put_sound(blobs, f"pairs/{sha256_of(content)}.jsonl", content)


async def put(blobs: Blobs, run_id: str, cycle: int, pairs: Iterable[str]) -> BlobRef:
    """Store the lines under a key that names their content; whoever asks for a training again makes them again."""
    content = encoded(pairs)
    return await put_sound(blobs, f"runs/{run_id}/pairs/c{cycle}-{sha256_of(content)[:16]}.jsonl", content)


async def _pairs(
    store: Store, blobs: Blobs, run: Run, cycle: int, chosen: Sequence[Architecture]
) -> list[TrainingPair]:
    if run.spec.training.method != "sft":
        return await rejections.pairs(store, blobs, run, cycle, chosen)
    found = [await completions.pair(store, blobs, each) for each in chosen]
    return [pair for pair in found if pair is not None]


async def _bootstrap(blobs: Blobs, run: Run) -> list[str]:
    """Return the pairs that the run began with, where they are replayed; `dpo` has no use for them."""
    bootstrap = run.spec.bootstrap
    if run.spec.training.method == "dpo" or bootstrap is None or bootstrap.pairs is None or not bootstrap.replay:
        return []
    # As bytes: in text, other characters than the line feed would end a line too, and code may hold them.
    return [line.decode() for line in (await blobs.get(bootstrap.pairs)).splitlines()]


def _size(known: int | None) -> float:
    return math.inf if known is None else known


def _scored(architecture: Architecture) -> Scored:
    return Scored(
        architecture.candidate_id,
        architecture.cycle,
        architecture.index,
        architecture.accuracy,
        architecture.family,
        _size(architecture.parameters),
        _size(architecture.flops),
    )
