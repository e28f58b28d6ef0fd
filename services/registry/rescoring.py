"""A candidate scored once more, under another protocol or with other training seeds: submissions beside its run."""

from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import groupby
from statistics import fmean, stdev
from typing import NamedTuple

from archloop import protocols
from archloop.contracts.base import Frozen, candidate_id
from archloop.contracts.values import Outcome
from services.registry.records import Candidate
from services.registry.stores.port import Store

MOST_SEEDS = 8
_LONGEST = 63


class Score(Frozen):
    """What a candidate's code came to once more; null until it is known. A null `seed` is the protocol's own."""

    protocol: str
    seed: int | None
    candidate_id: str
    outcome: Outcome | None
    accuracy: float | None
    test_accuracy: float | None


class Spread(NamedTuple):
    """A candidate under one protocol: the accuracy with its own seed, and what other seeds came to.

    Mean and standard deviation are over the other seeds that are known by now; what came to nothing counts as 0.
    """

    protocol: str
    first: float | None
    others: Sequence[Score]
    mean: float | None
    deviation: float | None


def batch(run_id: str) -> str:
    """Return the name under which the candidates of a run are submitted once more."""
    return f"again-{run_id}"[:_LONGEST]


def submission(candidate: str, protocol: str, seed: int | None = None) -> str:
    """Return the name of a candidate's submission."""
    return f"{candidate} {protocol}" if seed is None else f"{candidate} {protocol}, seed {seed}"


def seeds(protocol: str, count: int) -> list[int]:
    """Return so many training seeds that the protocol does not use itself, always the same. Raises NotFound."""
    return protocols.load(protocol).other_seeds(count)


async def scores(store: Store, candidate: Candidate) -> list[Score]:
    """Return what was asked for so far, whether it is known by now or not."""
    return [each for name in protocols.names() async for each in _under(store, candidate, name)]


async def _under(store: Store, candidate: Candidate, protocol: str) -> AsyncIterator[Score]:
    """Yield those under one protocol; seeds are asked for in order, so that none comes after one that is missing."""
    for seed in (None, *seeds(protocol, MOST_SEEDS)):
        name = submission(candidate.candidate_id, protocol, seed)
        found = await store.candidate(candidate_id(batch(candidate.run_id), 0, 0, name))
        if found is not None:
            yield _score(protocol, seed, found)
        elif seed is not None:
            return


def spreads(candidate: Candidate, found: Sequence[Score]) -> Iterator[Spread]:
    """Tell the scores by protocol, beside the accuracy that the candidate had in its run."""
    ran = candidate.evaluation
    for protocol, each in groupby(found, key=lambda score: score.protocol):
        own = list(each)
        others = [score for score in own if score.seed is not None]
        again = next((score.accuracy for score in own if score.seed is None), None)
        first = ran.accuracy if ran is not None and ran.protocol == protocol else again
        known = [_counted(score) for score in others if score.outcome is not None]
        deviation = stdev(known) if len(known) > 1 else None
        yield Spread(protocol, first, others, fmean(known) if known else None, deviation)


def _score(protocol: str, seed: int | None, found: Candidate) -> Score:
    evaluation = found.evaluation
    return Score(
        protocol=protocol,
        seed=seed,
        candidate_id=found.candidate_id,
        outcome=evaluation.outcome if evaluation else None,
        accuracy=evaluation.accuracy if evaluation else None,
        test_accuracy=evaluation.test_accuracy if evaluation else None,
    )


def _counted(score: Score) -> float:
    return (score.accuracy or 0.0) if score.outcome is Outcome.OK else 0.0
