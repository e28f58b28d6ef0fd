"""The report's table of edits: how many applied, what they gained over their parents, and how far lineages go."""

from collections.abc import Iterable

from archloop.numerals import count, number
from archloop_lab.summary import AnalysedCycle
from services.registry.statistics.lineage import Edits


def rows(cycles: Iterable[AnalysedCycle]) -> list[dict[str, str]]:
    """Return a row for each cycle; none for a run that edits nothing."""
    cycles = list(cycles)
    if not any(cycle.edits for cycle in cycles):
        return []
    return [
        {
            "cycle": str(cycle.cycle),
            **_row(cycle.edits),
            "cells": count(cycle.cells),
            "score": number(cycle.qd_score, 2),
        }
        for cycle in cycles
    ]


def _row(edits: Edits | None) -> dict[str, str]:
    if edits is None:
        edits = Edits(asked=0, applied=0, valid=0, better=0)
    interval = f"{_signed(edits.mean_gain_low)} to {_signed(edits.mean_gain_high)}"
    return {
        **{name: count(getattr(edits, name)) for name in ("asked", "applied", "valid", "better", "depth")},
        "gain": _signed(edits.mean_gain),
        "interval": interval if edits.mean_gain_low is not None else "",
        "best": _signed(edits.best_gain),
    }


def _signed(gain: float | None) -> str:
    return number(gain) if gain is None else f"{gain:+.3f}".replace("-", "\u2212")
