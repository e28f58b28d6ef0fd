"""matplotlib figures as inline SVG that follows the page's light or dark colours.

matplotlib knows no CSS variables, so each colour is drawn as a placeholder and replaced in the SVG.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

INK, MUTED, LINE = "#010101", "#020202", "#030303"
SERIES = tuple(f"#0400{number:02x}" for number in range(14))
_VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line"} | {c: f"--c{n}" for n, c in enumerate(SERIES)}
_STYLE: Any = {
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.size": 9,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "svg.fonttype": "none",
    "svg.hashsalt": "archloop",
    "text.color": INK,
    "text.parse_math": False,  # a name may hold dollars
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "ytick.left": False,
}


class _End(NamedTuple):
    """Where a line ends, and its name."""

    height: float
    text: str
    colour: str


class Drawing:
    """One figure with one pair of axes, over cycles."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.figure = Figure(figsize=(5.4, 2.9), layout="constrained")
        self.axes: Axes = self.figure.add_subplot()
        self._ends: list[_End] = []

    def cycles(self, numbers: Sequence[int], label: str = "cycle") -> None:
        """Put whole numbers along the bottom."""
        self.axes.set_xlabel(label)
        self.axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
        self.axes.set_xlim(min(numbers) - 0.5, max(numbers) + 0.5)

    def percent(self, label: str = "") -> None:
        """Write shares from 0 to 1 as percentages."""
        self.axes.set_ylabel(label)
        self.axes.set_ylim(-0.02, 1.02)
        self.axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))

    def unit(self, label: str) -> None:
        """Write numbers from 0 to 1 as they are."""
        self.axes.set_ylabel(label)
        self.axes.set_ylim(0, 1.02)

    def end(self, height: float, text: str, colour: str) -> None:
        """Name a line that ends at this height."""
        self._ends.append(_End(height, text, colour))

    def _name_lines(self) -> None:
        """Put names as near to their lines as they have room."""
        low, high = self.axes.get_ylim()
        room, floor = 0.075 * (high - low), low
        placed = []
        for end in sorted(self._ends):
            floor = max(end.height, floor)
            placed.append(floor)
            floor += room
        over = max(0.0, floor - room - high)
        right = self.axes.get_xlim()[1]
        for end, height in zip(sorted(self._ends), placed, strict=True):
            self.beside(right, height - over, end.text, end.colour)

    def beside(self, at: float, height: float, text: str, colour: str) -> None:
        """Put words to the right of a point."""
        self.axes.annotate(
            text, (at, height), (5, 0), textcoords="offset points", color=colour, va="center", fontsize=8.5
        )

    def legend(self, columns: int) -> None:
        """Put the legend above the axes, where it covers no data."""
        if self.axes.get_legend_handles_labels()[0]:
            self.axes.legend(
                loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, columnspacing=1.1, handlelength=1.3
            )

    def svg(self, columns: int = 5) -> str:
        """Return an `svg` element, the same for the same data; its legend has so many columns."""
        self._name_lines()
        self.legend(columns)
        buffer = io.StringIO()
        with mpl.rc_context({"svg.hashsalt": self.name}):
            self.figure.savefig(buffer, format="svg", metadata={"Date": None})
        return _themed(buffer.getvalue())


@contextmanager
def drawing(name: str) -> Iterator[Drawing]:
    """Open a drawing in the report's style."""
    with mpl.rc_context(_STYLE):
        yield Drawing(name)


def _themed(document: str) -> str:
    svg = re.sub(r"<metadata>.*?</metadata>", "", document[document.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font: \1 system-ui, sans-serif", svg)
    return re.sub(r"#(?:0[123]0[123]0[123]|0400[0-9a-f]{2})\b", lambda c: f"var({_VARIABLES[c[0]]})", svg)
