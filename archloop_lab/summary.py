"""What a run came to, as its directory tells it: the registry's summary, with what analysis adds to each cycle."""

from collections.abc import Mapping
from typing import Annotated, Self

from archloop.contracts.base import Frozen, absent
from archloop_lab.confirmation import Confirmation
from services.registry.statistics.summary import CycleSummary, Summary


class CycleAnalysis(Frozen):
    """How alike the networks of a cycle are: to each other, and to what the LLM had been tuned on.

    `chosen` and `rejected` are the different answers of the training that followed, where it was given rejected ones.
    """

    diversity_valid: float | None = None
    diversity_admitted: float | None = None
    memorization_low_quartile: float | None = None
    memorization_median: float | None = None
    memorization_high_quartile: float | None = None
    memorization_share_ge_threshold: float | None = None
    memorization_untuned_median: float | None = None
    chosen: Annotated[int | None, absent(None)] = None
    rejected: Annotated[int | None, absent(None)] = None


class AnalysedCycle(CycleAnalysis, CycleSummary):
    """One cycle with its analysis."""

    def measure(self, name: str) -> float | None:
        """Read the number that has this name in `summary.json`. Raises AttributeError for a name that none has."""
        value: float | None = getattr(self, name)
        return value


class AnalysedSummary(Summary):
    """A whole run with the analysis of its cycles."""

    cycles: tuple[AnalysedCycle, ...]
    confirmation: Annotated[Confirmation | None, absent(None)] = None

    @classmethod
    def of(
        cls, summary: Summary, analyses: Mapping[int, CycleAnalysis], confirmation: Confirmation | None = None
    ) -> Self:
        """Add to each cycle its analysis, if there is one, and what was confirmed of the whole."""
        cycles = [
            AnalysedCycle(**dict(cycle), **dict(analyses.get(cycle.cycle, CycleAnalysis()))) for cycle in summary.cycles
        ]
        return cls(**{**dict(summary), "cycles": tuple(cycles), "confirmation": confirmation})

    @property
    def begun(self) -> list[AnalysedCycle]:
        """The cycles in their order, open ones too; those without a single candidate are left out."""
        return sorted((cycle for cycle in self.cycles if cycle.generated), key=lambda cycle: cycle.cycle)

    @property
    def closed(self) -> list[AnalysedCycle]:
        """Those of them that are closed."""
        return [cycle for cycle in self.begun if cycle.closed]
