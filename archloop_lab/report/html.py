"""What every page has in common: templates that escape what they are given, files that are whole or not there."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from archloop.sanitising import plain_lines
from archloop_lab.files import write_text
from archloop_lab.report import view


def template(name: str) -> Template:
    """Load one of this folder's templates, with the forms of numbers."""
    environment = Environment(
        loader=PackageLoader("archloop_lab.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters.update(number=view.number, percent=view.percent, count=view.count, duration=view.duration)
    return environment.get_template(name)


def _shown(value: object) -> object:
    """Escape control and bidi characters of text; drawings are our own."""
    return plain_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def put(page: str, out: Path) -> None:
    """Write the file, whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, page)
