"""Which candidates are admitted, and which admitted ones the LLM learns from. Pure functions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from archloop.contracts.spec import SelectionSpec


@dataclass(frozen=True, slots=True)
class Scored:
    """A novel candidate as selection sees it."""

    candidate_id: str
    cycle: int
    index: int
    accuracy: float
    family: str


def admitted(novel: Iterable[Scored], spec: SelectionSpec) -> list[Scored]:
    """Those at or above the threshold; if fewer than `minimum`, the next best down to the fallback threshold."""
    ranked = best_first(novel)
    passed = sum(s.accuracy >= spec.threshold for s in ranked)
    eligible = [s for s in ranked if s.accuracy >= spec.fallback_threshold]
    return eligible[: max(passed, spec.minimum)]


def training(current: Iterable[Scored], earlier: Iterable[Scored], spec: SelectionSpec) -> list[Scored]:
    """Of this cycle's admitted the best `quota` per family, then `replay` earlier ones, family by family in turn."""
    fresh = [s for family in _families(current) for s in family[: spec.quota]]
    return best_first(fresh) + _in_turn(_families(earlier), spec.replay)


def best_first(scored: Iterable[Scored]) -> list[Scored]:
    """By accuracy; ties by cycle and index."""
    return sorted(scored, key=lambda s: (-s.accuracy, s.cycle, s.index))


def _families(scored: Iterable[Scored]) -> list[list[Scored]]:
    by_family = sorted(best_first(scored), key=lambda s: s.family)
    return [list(members) for _, members in groupby(by_family, key=lambda s: s.family)]


def _in_turn(families: Sequence[Sequence[Scored]], limit: int) -> list[Scored]:
    rounds = max(map(len, families), default=0)
    turns = [best_first(family[r] for family in families if r < len(family)) for r in range(rounds)]
    return [s for turn in turns for s in turn][:limit]
