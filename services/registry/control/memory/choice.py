"""What one candidate's prompt says of what there is to say. Pure functions of the run's seed, cycle and index."""

import random
from collections.abc import Iterator, MutableMapping, Sequence
from itertools import chain, zip_longest
from typing import NamedTuple

from archloop import remembering
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import Remembered
from services.registry.control.memory.failures import Tally
from services.registry.control.memory.scores import Extremes
from services.registry.control.requests import derived_seed

CHARACTERS = 4
"""So many a token has at most, on average; where the generator has a tokenizer it cuts more exactly."""
_BEST, _WORST, _FAILURES = 4, 2, 4


class Recollection(NamedTuple):
    """What prompts of one cycle choose from: failures, most frequent first, and networks, best and worst first."""

    failures: tuple[Remembered, ...] = ()
    best: tuple[Remembered, ...] = ()
    worst: tuple[Remembered, ...] = ()


class Lesson(NamedTuple):
    """What one closed cycle taught: its failures by kind, its best and worst networks, whatever its size was."""

    failures: Tally
    scores: Extremes


NOTHING = Recollection()
Lessons = MutableMapping[int, Lesson]
"""By cycle. Closed cycles do not change, so each is read once."""


def drawn(found: Recollection, spec: RunSpec, cycle: int, index: int) -> tuple[Remembered, ...]:
    """Return what this candidate's prompt says, the most telling first, the same whenever it is asked for.

    Every prompt has the best network and the most frequent failure, and another selection of the rest, so that few are
    alike. Networks and failures take turns: a short memory has some of both.
    """
    rng = random.Random(derived_seed("memory", spec.seed, cycle, index))  # noqa: S311 - reproducible on purpose
    networks = [*_some(rng, found.best, _BEST), *_drawn(rng, found.worst, _WORST)]
    failures = _some(rng, found.failures, _FAILURES)
    turns = chain.from_iterable(zip_longest(networks, failures))
    said = (each for each in turns if each is not None)
    return remembering.fitting(said, CHARACTERS * spec.generation.memory_tokens)


def _some(rng: random.Random, of: Sequence[Remembered], most: int) -> list[Remembered]:
    return [*of[:1], *_drawn(rng, of[1:], most - 1)]


def _drawn(rng: random.Random, of: Sequence[Remembered], most: int) -> Iterator[Remembered]:
    """Yield some, in the order in which they stand."""
    return (of[place] for place in sorted(rng.sample(range(len(of)), min(most, len(of)))))
