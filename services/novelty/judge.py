"""The verdict on a candidate, from the nearest earlier one."""

from typing import NamedTuple

from archloop.contracts.values import Verdict
from services.novelty.entries import Entry
from services.novelty.index import Nearest, NoveltyIndex


class Judgement(NamedTuple):
    """A verdict, and the nearest earlier candidate with its exact similarity, 0.0 if there is none."""

    verdict: Verdict
    nearest: str | None
    similarity: float


def check_and_insert(index: NoveltyIndex, entry: Entry, *, threshold: float, run_id: str | None) -> Judgement:
    """Judge against everything earlier in the run (or anywhere: None), then add, whatever the verdict.

    Near-copies are added too: were only novel ones kept, a chain of small steps could drift away from what
    was measured, and the reported similarity would not be to the nearest.
    """
    nearest = index.nearest(entry, threshold=threshold, run_id=run_id)
    index.add(entry)
    return _judgement(nearest, threshold)


def _judgement(nearest: Nearest | None, threshold: float) -> Judgement:
    if nearest is None:
        return Judgement(Verdict.NOVEL, None, 0.0)
    if nearest.identical:
        verdict = Verdict.EXACT_DUPLICATE
    else:
        verdict = Verdict.NEAR_DUPLICATE if nearest.similarity >= threshold else Verdict.NOVEL
    return Judgement(verdict, nearest.candidate, nearest.similarity)
