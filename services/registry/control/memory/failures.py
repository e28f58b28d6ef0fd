"""Strategy `failures`: recent failures by kind, the most frequent first. Pure functions."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from archloop.contracts.values import Outcome, Remembered
from archloop.sanitising import quotable
from services.registry.records import Candidate

RECENT = 3  # cycles: what the LLM no longer does need not be said
MOST = 8  # kinds that prompts choose from
_KINDS = 256  # of a cycle that are told apart, so that errors made to differ cannot fill the memory
_LINE = re.compile(r"\s*\(line \d+\)$")
_NUMBERS = re.compile(r"\d+(?:\.\d+)?")


class Kind(NamedTuple):
    """What failed alike: outcome, stage, and the line of the error with its numbers left out."""

    outcome: Outcome
    stage: str
    words: str


class Tally(NamedTuple):
    """How often each kind of failure came, and the error of its first."""

    counts: Counter[Kind]
    samples: Mapping[Kind, str]


def tally(candidates: Iterable[Candidate]) -> Tally:
    """Count the failures of one cycle; of a candidate that was given up the row may still change, and it is none."""
    counts: Counter[Kind] = Counter()
    samples: dict[Kind, str] = {}
    for candidate in candidates:
        if (found := _failure(candidate)) is None:
            continue
        kind, text = found
        if kind in samples or len(samples) < _KINDS:
            counts[kind] += 1
            samples.setdefault(kind, text)
    return Tally(counts, samples)


def recent_by_kind(cycles: Sequence[Tally]) -> tuple[Remembered, ...]:
    """Return the failures of the last cycles, the most frequent first, those of one kind as one with their count."""
    last = cycles[-RECENT:]
    counts = sum((each.counts for each in last), Counter[Kind]())
    samples = {kind: text for each in last for kind, text in each.samples.items()}
    order = sorted(counts, key=lambda kind: (-counts[kind], kind))
    return tuple(
        Remembered(outcome=kind.outcome, stage=kind.stage, text=samples[kind], count=counts[kind])
        for kind in islice(order, MOST)
    )


def _failure(candidate: Candidate) -> tuple[Kind, str] | None:
    evaluation = candidate.evaluation
    if candidate.lost or evaluation is None or evaluation.outcome in {Outcome.OK, Outcome.STOPPED}:
        return None
    text = _LINE.sub("", quotable(evaluation.detail))
    return Kind(evaluation.outcome, quotable(evaluation.stage, 20), _NUMBERS.sub("N", text)), text
