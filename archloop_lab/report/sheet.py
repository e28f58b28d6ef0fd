"""Pages: templates that escape what they are given, and a plain page of sections for what is reported besides a run."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, Template
from markupsafe import Markup

from archloop_lab.files import write_text
from archloop_lab.report.plots import Plot
from services.registry import html


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
    put(template("sheet.html.j2").render(title=title, lead=lead, sections=drawn), path)


def template(name: str) -> Template:
    """Load one of this folder's templates, with the forms of numbers."""
    return _templates().get_template(name)


@cache
def _templates() -> Environment:
    return html.templates("archloop_lab.report", ".")


def put(page: str, out: Path) -> None:
    """Write the file, whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, page)
