"""Collapse: cycles whose networks repeat what was before them, and what a run then does otherwise. Pure functions."""

from collections.abc import Iterable
from typing import NamedTuple

from archloop.contracts.spec import CollapseSpec, RunSpec
from archloop.contracts.values import Collapse
from services.registry.records import Candidate

_HOTTEST = 2.0


class Diversity(NamedTuple):
    """The candidates of a cycle that were judged, which are the valid ones, and how many of them are novel."""

    judged: int = 0
    novel: int = 0

    @classmethod
    def of(cls, candidates: Iterable[Candidate]) -> "Diversity":
        """Count them, but for those that people submitted."""
        judged = [c for c in candidates if c.valid and c.judgement is not None and not c.submitter]
        return cls(len(judged), sum(c.novel for c in judged))

    def plus(self, other: "Diversity") -> "Diversity":
        """Return the sum of both."""
        return Diversity(self.judged + other.judged, self.novel + other.novel)


def watched(cycles: Iterable[Diversity], spec: CollapseSpec) -> Collapse:
    """Return how the last of these cycles, the first ones of a run, ended, and the step that holds from then on."""
    found = Collapse()
    for each in cycles:
        novelty = each.novel / each.judged if each.judged >= spec.judged else None
        change = 0 if novelty is None else 1 if novelty < spec.below else -1
        found = Collapse(novelty=novelty, step=min(spec.steps, max(0, found.step + change)))
    return found


def widened(spec: RunSpec, step: int) -> RunSpec:
    """Return what the run is asked to be at this step: hotter, replaying more, from wider parents."""
    rule = spec.collapse
    if rule is None or step == 0:
        return spec
    generation, selection = spec.generation, spec.selection
    if rule.temperature is not None:
        raised = min(_HOTTEST, round(generation.temperature + step * rule.temperature, 6))
        generation = generation.model_copy(update={"temperature": raised})
    if rule.parents is not None:
        generation = generation.model_copy(update={"parents": rule.parents})
    if rule.replay is not None and selection.replay is not None:
        selection = selection.model_copy(update={"replay": selection.replay + step * rule.replay})
    return spec.model_copy(update={"generation": generation, "selection": selection})
