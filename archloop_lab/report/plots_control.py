"""Figures against the frozen control: the difference in every cycle that both have, with its 95 % interval."""

import numpy as np
from matplotlib.ticker import PercentFormatter

from archloop_lab.report.contrast import contrast, groups
from archloop_lab.report.figure import INK, MUTED, SERIES, drawing
from archloop_lab.report.primitives import Run
from services.registry.statistics.contrasts import SHARES, Contrast


def differences(run: Run, key: str, label: str = "difference, percentage points") -> str:
    """Draw a point with its interval for each cycle; nothing without a control or where no interval is known."""
    found = {number: c for number, c in _contrasts(run, key).items() if c.interval is not None}
    if not found:
        return ""
    with drawing(f"control-{key}") as d:
        heights = np.array([c.difference for c in found.values()], dtype=float)
        bounds = np.array([c.interval for c in found.values()], dtype=float)
        reach = np.clip([heights - bounds[:, 0], bounds[:, 1] - heights], 0, None)
        d.axes.axhline(0, color=INK, linewidth=1)
        d.axes.errorbar(list(found), heights, reach, fmt="o", color=SERIES[0], elinewidth=1.6, capsize=3)
        d.axes.set_ylabel(label)
        d.axes.margins(y=0.12)
        d.cycles(list(found))
        if key in SHARES:
            d.axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=""))
        d.end(0, "as the control", MUTED)
        return d.svg()


def _contrasts(run: Run, key: str) -> dict[int, Contrast]:
    if run.control is None:
        return {}
    these, those = groups(run.summary, run.candidates), groups(*run.control)
    return {number: contrast(key, these[number], those[number]) for number in these if number in those}
