"""A plain page of sections, for whatever is reported besides a run; and tables as CSV beside it."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from archloop_lab.report import html
from archloop_lab.report.plots import Plot


class Section(NamedTuple):
    """A heading, and under it what there is of: points, a table whose first row is its head, plots, a note."""

    title: str
    points: Sequence[str] = ()
    table: Sequence[Sequence[str]] = ()
    plots: Sequence[Plot] = ()
    note: str = ""


def write(path: Path, title: str, lead: str, sections: Sequence[Section]) -> None:
    """Write one HTML file that needs nothing else, whole or not at all."""
    drawn = [s._replace(plots=[p._replace(svg=Markup(p.svg)) for p in s.plots]) for s in sections]  # noqa: S704
    html.put(html.template("sheet.html.j2").render(title=title, lead=lead, sections=drawn), path)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write CSV (RFC 4180) with a head; null is empty."""
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)
