"""Which architectures of a corpus are worth learning from, as nn-dup chooses them, by Archloop's own likeness.

One of each text, one of each sequence of canonical tokens, and of the near-copies that hang together in a family at
most a quota; the best are taken first.
"""

import gc
import os
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from archloop_lab.lemur.clusters import clusters, nearest
from archloop_lab.lemur.corpus import Curated, Preferred
from services.novelty.constants import Sizes
from services.novelty.features import Features, features
from services.novelty.program import UnreadableSource
from services.novelty.settings import NoveltySettings

UNREADABLE, EXACT, SAME, OVER_QUOTA, KEPT = "unreadable", "exact copy", "same tokens", "over quota", "kept"
REASONS = (UNREADABLE, EXACT, SAME, OVER_QUOTA, KEPT)
_AT_ONCE = 32
_FEW = 256
Advance = Callable[[str, int, int], None]


def curate(
    preferred: Sequence[Preferred], threshold: float, quota: int, sizes: Sizes, advance: Advance
) -> list[Curated]:
    """Decide about each, in no particular order; the same for the same corpus and settings, on any machine."""
    firsts, copies = _one_of_each_text(preferred)
    said, described = list[Curated](), dict[str, Features]()
    for architecture, found in zip(firsts, _described([each.code for each in firsts], sizes, advance), strict=True):
        if found is None:
            said.append(Curated(architecture.name, kept=False, why=UNREADABLE))
        else:
            described[architecture.name] = found
    for names in _by_family(described).values():
        originals, same = _one_of_each_architecture(names, described)
        said += same
        said += _within_quota(originals, [described[name] for name in originals], threshold, quota)
    return said + _as_their_originals(copies, said)


def _one_of_each_text(preferred: Sequence[Preferred]) -> tuple[list[Preferred], dict[str, str]]:
    """Pick the first of each text, and name the original of every other."""
    firsts: dict[str, Preferred] = {}
    copies: dict[str, str] = {}
    for each in preferred:
        original = firsts.setdefault(each.sha256, each)
        if original is not each:
            copies[each.name] = original.name
    return list(firsts.values()), copies


def _described(codes: Sequence[str], sizes: Sizes, advance: Advance) -> Iterator[Features | None]:
    """Describe them in the order given, by a process for each core; few of them right here."""
    settings = NoveltySettings.load()
    describe = partial(_read, k=settings.k, permutations=settings.permutations, sizes=sizes)
    if len(codes) <= _FEW:
        yield from map(describe, codes)
        return
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn"), initializer=_prepare) as pool:
        for done, found in enumerate(pool.map(describe, codes, chunksize=_AT_ONCE), start=1):
            if done % _AT_ONCE == 0 or done == len(codes):
                advance("reading", done, len(codes))
            yield found


def _prepare() -> None:
    """Switch the garbage collector off: to look for cycles, which syntax trees lack, takes a quarter of the time."""
    gc.disable()
    warnings.simplefilter("ignore")


def _read(code: str, *, k: int, permutations: int, sizes: Sizes) -> Features | None:
    try:
        return features(code, k=k, permutations=permutations, sizes=sizes)
    except UnreadableSource:
        return None


def _by_family(described: dict[str, Features]) -> dict[str, list[str]]:
    families = defaultdict[str, list[str]](list)
    for name, found in described.items():
        families[found.family].append(name)
    return families


def _one_of_each_architecture(names: Sequence[str], described: dict[str, Features]) -> tuple[list[str], list[Curated]]:
    """Pick the first of each sequence of canonical tokens, and decide about the others."""
    firsts: dict[str, str] = {}
    same: list[Curated] = []
    for name in names:
        tokens, family = described[name].tokens_sha256, described[name].family
        original = firsts.setdefault(tokens, name)
        if original != name:
            same.append(Curated(name, False, SAME, family, None, original, 1.0))
    return list(firsts.values()), same


def _within_quota(
    names: Sequence[str], described: Sequence[Features], threshold: float, quota: int
) -> Iterator[Curated]:
    """Keep the first of each cluster; every other is told which of these is nearest."""
    taken = defaultdict[int, list[int]](list)
    for row, root in enumerate(clusters(described, threshold)):
        among = taken[root]
        closest = nearest(described[row], among, described) if among else None
        kept = len(among) < quota
        if kept:
            among.append(row)
        yield Curated(
            names[row],
            kept,
            KEPT if kept else OVER_QUOTA,
            described[row].family,
            names[root],
            names[closest.row] if closest else None,
            closest.similarity if closest else None,
        )


def _as_their_originals(copies: dict[str, str], said: Sequence[Curated]) -> list[Curated]:
    """Give copies the family and the cluster of what they copy."""
    by_name = {each.name: each for each in said}
    originals = ((name, by_name[original]) for name, original in copies.items())
    return [Curated(name, False, EXACT, o.family, o.cluster, o.name, 1.0) for name, o in originals]
