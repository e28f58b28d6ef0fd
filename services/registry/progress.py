"""What a cycle still waits for, derived from its rows. Pure functions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.registry.records import Candidate, Step


@dataclass(frozen=True, slots=True)
class Owed:
    """A candidate's next step. `blocked`: not before lower indices are evaluated, as novelty judges in index order."""

    index: int
    step: Step
    blocked: bool


def owed(rows: Mapping[int, Candidate], wanted: Iterable[int]) -> list[Owed]:
    """One entry per unsettled candidate of the wanted indices, in their order; empty when the cycle can close."""
    result, gap = [], False
    for index in sorted(wanted):
        step = rows[index].awaits if index in rows else "generation"
        if step is not None:
            result.append(Owed(index, step, blocked=gap and step == "judgement"))
        gap = gap or step in {"generation", "evaluation"}
    return result


def unjudged(rows: Mapping[int, Candidate], waiting: Sequence[Owed]) -> list[Candidate]:
    """Whatever novelty needs to have heard of before it can give the last verdict that is owed, in index order."""
    last = max((o.index for o in waiting if o.step == "judgement"), default=-1)
    heard_of = (rows[index] for index in range(last + 1) if index in rows)
    return [c for c in heard_of if c.evaluation is not None or c.lost is not None]
