"""Which earlier candidates a run edits. Pure functions of closed cycles' rows and the candidate's place."""

import random
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from archloop.contracts.spec import GenerationSpec, Parents, RunSpec
from archloop.contracts.values import Family, Parent, Verdict
from services.registry.acts import NO_EXEMPLARS, Exemplars
from services.registry.control import archive
from services.registry.control.requests import derived_seed
from services.registry.control.scored import Scored, best_first
from services.registry.records import Candidate

_MOST = {"best": 16, "novel": 16, "families": 4, "archive": 1, "aging": 32}
_TOURNAMENT = 5
Pool = tuple[tuple[Parent, ...], ...]
"""Parents by group, of which a candidate's index picks one in rotation."""


class Possible(NamedTuple):
    """A candidate that may be a parent: valid, judged, and no copy of another one."""

    scored: Scored
    novel: bool
    similarity: float


class Group(NamedTuple):
    """Candidates in the order in which they are taken, as far as their code can be edited, up to `most`."""

    members: list[Scored]
    most: int


def possible(candidate: Candidate, scored: Scored, *, copies: bool = False) -> Possible | None:
    """Return the candidate where it may be a parent; a copy, which may train itself otherwise, only with `copies`."""
    judged = candidate.judgement
    if not candidate.valid or judged is None or (judged.verdict is Verdict.EXACT_DUPLICATE and not copies):
        return None
    return Possible(scored, candidate.novel, judged.similarity)


def groups(candidates: Sequence[Possible], strategy: Parents, exemplars: Exemplars = NO_EXEMPLARS) -> list[Group]:
    """Return the groups that the strategy draws from, pinned ones first, without the banned; see `GenerationSpec`."""
    allowed = [each for each in candidates if each.scored.candidate_id not in exemplars.banned]
    pinned = [each.scored for each in allowed if each.scored.candidate_id in exemplars.pinned]
    ordered = _ordered(allowed, strategy)
    if pinned and len(ordered) == 1:  # where there is one group, it is everybody's
        ordered = [[*pinned, *(each for each in ordered[0] if each not in pinned)]]
    first = [sorted(members, key=lambda each: each not in pinned) for members in ordered]
    return [Group(members, _MOST[strategy]) for members in first]


def is_edit(spec: GenerationSpec, seed: int, cycle: int, index: int) -> bool:
    """Return whether this candidate is to be an edit, if there is a parent."""
    return _stream("mode", seed, cycle, index).random() < spec.edited


def drawn(pool: Pool, spec: RunSpec, cycle: int, index: int) -> Parent | None:
    """Return the parent of one candidate, the same whenever it is asked for; None for a whole network."""
    if not is_edit(spec.generation, spec.seed, cycle, index):
        return None
    turned = [pool[(index + turn) % len(pool)] for turn in range(len(pool))]
    group = next((group for group in turned if group), None)
    if not group:
        return None
    stream = _stream("parent", spec.seed, cycle, index)
    if spec.generation.parents == "aging":
        return max(stream.choices(group, k=_TOURNAMENT), key=lambda parent: parent.accuracy)
    return stream.choice(group)


def _ordered(candidates: Sequence[Possible], strategy: Parents) -> list[list[Scored]]:
    if strategy == "novel":
        return [_most_novel(candidates)]
    scored = [each.scored for each in candidates]
    if strategy == "families":
        return [best_first(each for each in scored if each.family is family) for family in Family]
    if strategy == "aging":
        return [sorted(scored, key=lambda each: (-each.cycle, -each.index))]
    return list(archive.cells(scored).values()) if strategy == "archive" else [best_first(scored)]


def _most_novel(candidates: Iterable[Possible]) -> list[Scored]:
    """Return the better half of the novel ones, the least similar to what was before them first."""
    novel = [each for each in candidates if each.novel]
    half = median(each.scored.accuracy for each in novel) if novel else 0.0
    better = [each for each in novel if each.scored.accuracy >= half]
    ordered = sorted(better, key=lambda each: (each.similarity, each.scored.cycle, each.scored.index))
    return [each.scored for each in ordered]


def _stream(what: str, *place: int) -> random.Random:
    return random.Random(derived_seed(what, *place))  # noqa: S311 - reproducible on purpose
