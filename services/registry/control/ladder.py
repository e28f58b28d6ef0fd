"""The bar of a protocol's ladder: what a candidate has to reach on a part of the images to be trained on all."""

import math
from collections.abc import Sequence

from archloop import protocols
from services.registry.records import Candidate, Run
from services.registry.stores.paging import candidates
from services.registry.stores.port import Store

_FEW = 10  # of which a quantile says nothing


async def bar_of(store: Store, run: Run, cycle: int) -> float | None:
    """Return the bar of every candidate of this cycle, by the rows of the cycles before it, which are closed.

    It is the same whenever it is asked for. None where the run's protocol has no ladder, or too few were seen on it.
    """
    rung = protocols.load(run.spec.protocol).ladder
    if rung is None:
        return None
    reached = [_reached(candidate) async for candidate in candidates(store, run, range(cycle))]
    return bar([accuracy for accuracy in reached if accuracy is not None], rung.quantile)


def bar(accuracies: Sequence[float], quantile: float) -> float | None:
    """Return the accuracy that this share of them stays below or reaches, one of them; None of a few."""
    if len(accuracies) < _FEW:
        return None
    return sorted(accuracies)[min(len(accuracies) - 1, math.floor(quantile * len(accuracies)))]


def _reached(candidate: Candidate) -> float | None:
    """Return the accuracy on the rung; None of a candidate that was given up, whose row may still change."""
    if candidate.lost is not None or candidate.evaluation is None or candidate.evaluation.rung is None:
        return None
    return candidate.evaluation.rung.accuracy
