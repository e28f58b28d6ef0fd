"""Judgement of a list of files, without a run or a store."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from archloop.contracts.values import Family, Verdict
from archloop.errors import InvalidInput
from archloop.sources import UndecodableSource
from services.novelty.entries import Entry, ListedEntries
from services.novelty.features import Features, features
from services.novelty.index import NoveltyIndex
from services.novelty.judge import check_and_insert
from services.novelty.program import UnreadableSource
from services.novelty.settings import NoveltySettings


class Comparison(NamedTuple):
    """A file's family, and its verdict against the files before it; both None if it cannot be read."""

    file: str
    family: Family | None
    verdict: Verdict | None
    nearest: str | None = None
    similarity: float = 0.0
    problem: str = ""


def compare(
    files: Sequence[tuple[str, str | UndecodableSource]],
    threshold: float,
    graphs: Mapping[str, str | None] = MappingProxyType({}),
) -> list[Comparison]:
    """Judge (name, source) pairs in their order; in place of a source stands the error if there is none.

    Args:
        files: Names and sources.
        threshold: The Jaccard similarity from which on a file is a near duplicate, from 0 to 1.
        graphs: Hashes of graphs by file name, all made under one protocol.

    Raises:
        InvalidInput: The threshold is out of range.

    """
    if not 0 <= threshold <= 1:
        raise InvalidInput("--threshold", str(threshold), "a similarity from 0 to 1")
    settings = NoveltySettings.load()
    entries = ListedEntries()
    index = NoveltyIndex(entries, settings.permutations)
    compared = []
    for name, source in files:
        described = _described(source, settings)
        if isinstance(described, str):
            compared.append(Comparison(name, None, None, problem=described))
            continue
        entry = Entry(name, "", *described[:3], graphs.get(name))
        judgement = check_and_insert(index, entry, threshold=threshold, run_id=None)
        entries.append(entry)
        compared.append(Comparison(name, described.family, *judgement))
    return compared


def _described(source: str | UndecodableSource, settings: NoveltySettings) -> Features | str:
    """Return the features of a source, or the reason why it has none."""
    try:
        if isinstance(source, UndecodableSource):
            raise source
        return features(source, k=settings.k, permutations=settings.permutations, sizes=settings.sizes)
    except (UnreadableSource, UndecodableSource) as error:
        return str(error)
