"""What edits came to beside their parents, and what an archive of all that is valid holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple, Self

from archloop.contracts.base import Frozen
from services.registry.control import archive, pairs, parents
from services.registry.control.archive import Cell, Quality
from services.registry.control.scored import Scored
from services.registry.records import Candidate
from services.registry.statistics import intervals


class Edits(Frozen):
    """The edits of one cycle.

    `asked` were to edit a parent, `applied` have code, `valid` ones trained, and `better` ones are more accurate than
    their parent. `mean_gain`, with its 95 % interval, and `best_gain` are accuracy over the parent's, of the valid: of
    one training each, so that a part of every gain is chance. `depth` is that of the longest lineage to a valid one; a
    whole network has 0.
    """

    asked: int
    applied: int
    valid: int
    better: int
    mean_gain: float | None = None
    mean_gain_low: float | None = None
    mean_gain_high: float | None = None
    best_gain: float | None = None
    depth: int = 0


class Edited(NamedTuple):
    """One edit: whether it applied, and, of a valid one, the gain over its parent and how many edits it is away."""

    applied: bool
    gain: float | None = None
    depth: int = 0


class _Reached(NamedTuple):
    accuracy: float
    depth: int


@dataclass(frozen=True)
class Lineage:
    """Goes through a run's candidates in order; of each it keeps only what its children are compared with."""

    _reached: dict[str, _Reached] = field(default_factory=dict)
    _elites: dict[Cell, Scored] = field(default_factory=dict)

    def copy(self) -> Self:
        """Return one that goes on from here, by itself."""
        return type(self)(dict(self._reached), dict(self._elites))

    def add(self, candidates: Iterable[Candidate]) -> list[Edited]:
        """Take in some more candidates, and return what the edits among them came to."""
        edited: list[Edited] = []
        for candidate in candidates:
            parent = self._reached.get(candidate.parent) if candidate.parent else None
            gain, depth = self._take_in(candidate, parent)
            if candidate.parent:
                edited.append(Edited(not candidate.problem, gain, depth))
        return edited

    @property
    def archive(self) -> Quality:
        """What an archive of all valid networks so far holds, copies left out."""
        return archive.quality(self._elites.values())

    def _take_in(self, candidate: Candidate, parent: _Reached | None) -> tuple[float | None, int]:
        accuracy = candidate.evaluation.accuracy if candidate.evaluation else None
        if not candidate.valid or accuracy is None:
            return None, 0
        depth = parent.depth + 1 if parent else 0
        self._reached[candidate.candidate_id] = _Reached(accuracy, depth)
        if candidate.judgement and (possible := parents.possible(candidate, pairs.scored(candidate))):
            cell = archive.cell(possible.scored)
            if cell not in self._elites or self._elites[cell].accuracy < accuracy:
                self._elites[cell] = possible.scored
        return (accuracy - parent.accuracy if parent else None), depth


def edits(edited: Sequence[Edited]) -> Edits | None:
    """Sum up the edits of a cycle; None where there are none."""
    if not edited:
        return None
    gains = [each.gain for each in edited if each.gain is not None]
    low, high = intervals.mean_interval(gains) or (None, None)
    return Edits(
        asked=len(edited),
        applied=sum(each.applied for each in edited),
        valid=len(gains),
        better=sum(gain > 0 for gain in gains),
        mean_gain=fmean(gains) if gains else None,
        mean_gain_low=low,
        mean_gain_high=high,
        best_gain=max(gains, default=None),
        depth=max(each.depth for each in edited),
    )
