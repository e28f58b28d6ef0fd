"""Judging a list of files, without a run or a store."""

from collections.abc import Sequence
from typing import NamedTuple

from archloop.contracts.values import Verdict
from archloop.errors import InvalidInput
from services.novelty.features import Features, features
from services.novelty.index import Entry, NoveltyIndex
from services.novelty.judge import check_and_insert
from services.novelty.program import UnreadableSource
from services.novelty.settings import NoveltySettings


class Comparison(NamedTuple):
    """A file's family, and its verdict against the files before it."""

    file: str
    family: str
    verdict: Verdict
    nearest: str | None
    similarity: float


def compare(files: Sequence[tuple[str, str]], threshold: float) -> list[Comparison]:
    """Judge (name, source) pairs in their order. Raises InvalidInput, naming a file that is no Python."""
    settings = NoveltySettings.load()
    index = NoveltyIndex(settings.permutations, threshold)
    return [_compared(index, name, _features(name, source, settings), threshold) for name, source in files]


def _compared(index: NoveltyIndex, name: str, described: Features, threshold: float) -> Comparison:
    entry = Entry(name, "", *described[:3])
    return Comparison(name, described.family, *check_and_insert(index, entry, threshold=threshold, run_id=None))


def _features(name: str, source: str, settings: NoveltySettings) -> Features:
    try:
        return features(source, k=settings.k, permutations=settings.permutations, sizes=settings.sizes)
    except UnreadableSource as error:
        raise InvalidInput("file", name, f"Python source ({error})") from error
