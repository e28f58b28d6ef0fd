"""Judging a list of files, without a run or a store."""

from collections.abc import Sequence
from typing import NamedTuple

from archloop.contracts.values import Verdict
from archloop.sources import UndecodableSource
from services.novelty.features import features
from services.novelty.index import Entry, NoveltyIndex
from services.novelty.judge import check_and_insert
from services.novelty.program import UnreadableSource
from services.novelty.settings import NoveltySettings


class Comparison(NamedTuple):
    """A file's family, and its verdict against the files before it; neither if it is no Python."""

    file: str
    family: str | None
    verdict: Verdict | None
    nearest: str | None = None
    similarity: float = 0.0
    problem: str = ""


def compare(files: Sequence[tuple[str, str | UndecodableSource]], threshold: float) -> list[Comparison]:
    """Judge (name, source) pairs in their order; instead of a source, why there is none."""
    settings = NoveltySettings.load()
    index = NoveltyIndex(settings.permutations, threshold)
    return [_compared(index, name, source, threshold, settings) for name, source in files]


def _compared(
    index: NoveltyIndex, name: str, source: str | UndecodableSource, threshold: float, settings: NoveltySettings
) -> Comparison:
    try:
        if isinstance(source, UndecodableSource):
            raise source
        described = features(source, k=settings.k, permutations=settings.permutations, sizes=settings.sizes)
    except (UnreadableSource, UndecodableSource) as error:
        return Comparison(name, None, None, problem=str(error))
    judgement = check_and_insert(index, Entry(name, "", *described[:3]), threshold=threshold, run_id=None)
    return Comparison(name, described.family, *judgement)
