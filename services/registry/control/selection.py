"""Selects the candidates to admit, and the admitted ones that the LLM learns from. Pure functions."""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import groupby
from statistics import quantiles

from archloop.contracts.spec import SelectionSpec
from services.registry.control import archive
from services.registry.control.scored import Scored, best_first

_FEW = 10
_MANY = 1000


def admitted(considered: Iterable[Scored], spec: SelectionSpec) -> list[Scored]:
    """Return the candidates that the rule lets in, best first."""
    ranked = best_first(considered)
    eligible = [s for s in ranked if s.accuracy >= spec.fallback_threshold]
    if spec.rule == "pareto":
        return _by_fronts(eligible, spec.minimum)
    bar = _percentile(ranked, spec) if spec.rule == "percentile" else spec.threshold
    passed = sum(s.accuracy >= bar for s in ranked)
    return eligible[: max(passed, spec.minimum)]


async def admitted_aside(considered: Sequence[Scored], spec: SelectionSpec) -> list[Scored]:
    """Return the same as `admitted`, in a thread where there are so many that they would hold up the event loop."""
    if len(considered) < _MANY:
        return admitted(considered, spec)
    return await asyncio.to_thread(admitted, considered, spec)


def training(
    current: Sequence[Scored], earlier: Sequence[Scored], spec: SelectionSpec, pinned: Sequence[str] = ()
) -> list[Scored]:
    """Return the best `quota` per cell of this cycle's admitted, then `replay` earlier ones; a cell may be a family.

    What is `pinned` and not among them comes last.
    """
    chosen = _by_quota(current, spec) + _replayed(earlier, spec)[: spec.replay]
    more = [s for s in (*current, *earlier) if s.candidate_id in pinned and s not in chosen]
    return chosen + best_first(more)


def _by_quota(current: Iterable[Scored], spec: SelectionSpec) -> list[Scored]:
    fresh = [s for members in archive.cells(current, archive.key(spec)).values() for s in members[: spec.quota]]
    return best_first(fresh)


def _percentile(ranked: Sequence[Scored], spec: SelectionSpec) -> float:
    """Return the cycle's percentile where it is above the threshold; the percentile of a few says nothing."""
    if len(ranked) < _FEW:
        return spec.threshold
    own = quantiles([s.accuracy for s in ranked], n=100, method="inclusive")[spec.percentile - 1]
    return max(spec.threshold, own)


def _by_fronts(eligible: Sequence[Scored], minimum: int) -> list[Scored]:
    chosen: list[Scored] = []
    for front in _fronts(eligible):
        chosen += front
        if len(chosen) >= minimum:
            break
    return best_first(chosen)


def _fronts(scored: Iterable[Scored]) -> list[list[Scored]]:
    """Sort into fronts: those that nobody beats, then those that only these beat, and so on.

    This is non-dominated sorting (Deb et al. 2002). In the order of falling accuracy, each goes to the first front
    that has none that beats it, found by bisection (Zhang et al. 2015): whoever is beaten in one front is beaten in all
    before it.
    """
    fronts: list[tuple[list[Scored], _Staircase]] = []
    for _, alike in groupby(sorted(scored, key=_cost), key=_cost):
        members = list(alike)
        place = members[0].parameters, members[0].flops
        rank = bisect_left(fronts, True, key=lambda front: not front[1].covers(*place))
        if rank == len(fronts):
            fronts.append(([], _Staircase()))
        fronts[rank][0].extend(members)
        fronts[rank][1].add(*place)
    return [members for members, _ in fronts]


def _cost(scored: Scored) -> tuple[float, float, float]:
    return -scored.accuracy, scored.parameters, scored.flops


class _Staircase:
    """The parameters and FLOPs of a front's members, without those that another one has no more of in both."""

    def __init__(self) -> None:
        self._parameters: list[float] = []
        self._flops: list[float] = []

    def covers(self, parameters: float, flops: float) -> bool:
        """Return whether a member has as little of both."""
        below = bisect_right(self._parameters, parameters)
        return below > 0 and self._flops[below - 1] <= flops

    def add(self, parameters: float, flops: float) -> None:
        """Add one that is not covered, and remove those that it covers."""
        start = stop = bisect_left(self._parameters, parameters)
        while stop < len(self._flops) and self._flops[stop] >= flops:
            stop += 1
        self._parameters[start:stop] = [parameters]
        self._flops[start:stop] = [flops]


def _replayed(earlier: Iterable[Scored], spec: SelectionSpec) -> list[Scored]:
    if spec.replay_order == "families":
        return _in_turn([*archive.cells(earlier, archive.key(spec)).values()])
    best = best_first(earlier)
    return sorted(best, key=lambda s: -s.cycle) if spec.replay_order == "recent" else best


def _in_turn(groups: Sequence[Sequence[Scored]]) -> list[Scored]:
    rounds = max(map(len, groups), default=0)
    turns = [best_first(group[r] for group in groups if r < len(group)) for r in range(rounds)]
    return [s for turn in turns for s in turn]
