"""How alike the networks of a run are: to each other, and to what the LLM was tuned on. Read as text, never run.

Similarity is the exact Jaccard similarity over the novelty service's shingles.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from archloop.blobs import programs
from archloop.blobs.port import Blobs
from archloop_lab import training_history
from archloop_lab.summary import CycleAnalysis
from services.novelty.normalise import tokens
from services.novelty.program import UnreadableSource
from services.novelty.reach import read
from services.novelty.settings import NoveltySettings
from services.novelty.shingles import Shingles, shingles
from services.registry.records import CandidateQuery
from services.registry.stores.port import Store

Similarities = NDArray[np.float64]


class Analysis(NamedTuple):
    """The numbers of each cycle; the similarity of each candidate to its nearest example, by its id."""

    cycles: Mapping[int, CycleAnalysis]
    nearest: Mapping[str, float]


class Written(NamedTuple):
    """A valid candidate: what it is, the adapter that wrote it (null: the untuned LLM), and whether it was admitted."""

    candidate_id: str
    cycle: int
    adapter: str | None
    source: str
    admitted: bool


async def of_run(store: Store, blobs: Blobs, run_id: str) -> Analysis:
    """Analyse every cycle of a recorded run."""
    run = await store.run(run_id)
    assert run is not None
    valid = [c for c in (await store.candidates(CandidateQuery(run_id=run_id))).items if c.valid]
    written = [
        Written(c.candidate_id, c.cycle, c.adapter, await programs.text_of(source.code, blobs), c.admitted)
        for c in valid
        if c.cycle is not None and (source := await store.source(c.candidate_id)) is not None
    ]
    numbers = [cycle.cycle for cycle in await store.cycles(run_id)]
    tuned_on = await training_history.by_cycle(store, blobs, run_id)
    return analysed(written, tuned_on, numbers, run.spec.novelty.threshold)


def analysed(
    written: Sequence[Written], tuned_on: Mapping[int, Collection[str]], numbers: Sequence[int], threshold: float
) -> Analysis:
    """Measure diversity and memorization of the cycles of these `numbers`.

    `tuned_on` has the sources that the LLM had been tuned on when it wrote a cycle; a cycle without is one of the
    untuned LLM. At or above `threshold` a network is a near copy. What the untuned LLM wrote is held against the same
    examples, itself left out, for the nearest of many examples is nearer by chance alone.
    """
    known = _Shingled()
    cycles: dict[int, CycleAnalysis] = {}
    nearest: dict[str, float] = {}
    untuned = known.all(w.source for w in written if w.adapter is None)
    for number in numbers:
        own = [w for w in written if w.cycle == number and known.of(w.source) is not None]
        examples = known.all(tuned_on.get(number, ()))
        found = nearest_of(known.all(w.source for w in own), examples)
        nearest |= dict(zip((w.candidate_id for w in own), found, strict=False))
        cycles[number] = CycleAnalysis(
            diversity_valid=diversity(known.all(w.source for w in own)),
            diversity_admitted=diversity(known.all(w.source for w in own if w.admitted)),
            memorization_low_quartile=_percentile(found, 25),
            memorization_median=_percentile(found, 50),
            memorization_high_quartile=_percentile(found, 75),
            memorization_share_ge_threshold=float(np.mean(np.asarray(found) >= threshold)) if found else None,
            memorization_untuned_median=_percentile(nearest_of(untuned, examples, copies=False), 50),
        )
    return Analysis(cycles, nearest)


def diversity(sets: Sequence[Shingles]) -> float | None:
    """Return the mean Jaccard distance over all pairs, copies included; None below two."""
    n = len(sets)
    if n < 2:
        return None
    return float(1 - (similarities(sets, sets).sum() - n) / (n * (n - 1)))


def nearest_of(sets: Sequence[Shingles], others: Sequence[Shingles], *, copies: bool = True) -> list[float]:
    """Return for each set its similarity to the nearest of the others, with its `copies` or without."""
    if not sets or not others:
        return []
    found = similarities(sets, others)
    return [float(value) for value in np.where((found < 1) | copies, found, 0).max(axis=1)]


def similarities(left: Sequence[Shingles], right: Sequence[Shingles]) -> Similarities:
    """Return the exact Jaccard similarity of each on the left with each on the right; 1 of two empty sets."""
    vocabulary = np.unique(np.concatenate([*left, *right]))
    shared = (_incidence(left, vocabulary) @ _incidence(right, vocabulary).T).toarray()
    union = np.add.outer([len(s) for s in left], [len(s) for s in right]) - shared
    found: Similarities = np.divide(shared, union, out=np.ones(shared.shape), where=union > 0)
    return found


def _incidence(sets: Sequence[Shingles], vocabulary: Shingles) -> Any:
    """Make a row for each set and a column for each shingle, with 1 where the set has it."""
    columns = np.searchsorted(vocabulary, np.concatenate(sets))
    starts = np.cumsum([0, *map(len, sets)])
    return csr_array((np.ones(len(columns), np.int32), columns, starts), shape=(len(sets), len(vocabulary)))


def _percentile(values: Sequence[float], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if values else None


class _Shingled:
    """The shingles of sources, read once each."""

    def __init__(self) -> None:
        self._settings = NoveltySettings.load()
        self._found: dict[str, Shingles | None] = {}

    def of(self, source: str) -> Shingles | None:
        """Return the shingles of a source, or None if it cannot be read."""
        if source not in self._found:
            try:
                self._found[source] = shingles(tokens(read(source), self._settings.sizes), self._settings.k)
            except UnreadableSource:
                self._found[source] = None
        return self._found[source]

    def all(self, sources: Iterable[str]) -> list[Shingles]:
        """Return the shingles of those that can be read, in their order."""
        return [found for source in sources if (found := self.of(source)) is not None]
