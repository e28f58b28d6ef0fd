"""What a curation came to, by family and reason."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from archloop_lab.lemur.curating import KEPT, REASONS

Counts = Sequence[tuple[str, str, int]]


def as_json(counts: Counts) -> dict[str, Any]:
    """For machines: the total of each reason, and each family's."""
    families: dict[str, dict[str, int]] = {}
    for family, why, count in counts:
        families.setdefault(family or "unreadable", {})[why] = count
    return {"in": sum(count for _, _, count in counts), **_totals(counts), "families": families}


def table(counts: Counts) -> Table:
    """For people: a line for each family, the largest first, and one for all."""
    drawn = Table(box=None, padding=(0, 2, 0, 0), show_footer=True, footer_style="bold")
    totals = _totals(counts)
    drawn.add_column("family", footer="all", no_wrap=True)
    drawn.add_column("in", str(sum(totals.values())), justify="right")
    for why in REASONS:
        drawn.add_column(why, str(totals[why]), justify="right", style="bold" if why == KEPT else None)
    for family in sorted({family for family, _, _ in counts}, key=lambda name: (-sum(_row(counts, name)), name)):
        row = _row(counts, family)
        drawn.add_row(family or "none", *(str(number or "") for number in (sum(row), *row)))
    return drawn


def _totals(counts: Counts) -> dict[str, int]:
    return {why: sum(count for _, reason, count in counts if reason == why) for why in REASONS}


def _row(counts: Counts, family: str) -> list[int]:
    return [sum(count for name, reason, count in counts if (name, reason) == (family, why)) for why in REASONS]
