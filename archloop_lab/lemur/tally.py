"""What a curation came to, by family and reason."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from archloop_lab.lemur.curating import REASONS


class Tally(NamedTuple):
    """How many architectures came to each end: in all, and of each family; of those without one under no name."""

    totals: Mapping[str, int]
    families: Mapping[str, Mapping[str, int]]

    def as_json(self) -> dict[str, Any]:
        """Say it for machines."""
        families = {family or "unreadable": ends for family, ends in self.families.items()}
        return {"in": sum(self.totals.values()), **self.totals, "families": families}


def tally(counts: Iterable[tuple[str, str, int]]) -> Tally:
    """Add up how many of each family ended for each reason."""
    totals, families = dict.fromkeys(REASONS, 0), dict[str, dict[str, int]]()
    for family, why, count in counts:
        totals[why] += count
        families.setdefault(family, {})[why] = count
    return Tally(totals, families)
