"""What every page has in common: templates that escape what they are given, files that are whole or not there."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from archloop_cli.report import view


def template(name: str) -> Template:
    """One of this folder's, with the forms of numbers."""
    environment = Environment(
        loader=PackageLoader("archloop_cli.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=view.number, percent=view.percent, count=view.count, duration=view.duration)
    return environment.get_template(name)


def put(page: str, out: Path) -> None:
    """Write the file, whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".partial")
    partial.write_text(page, encoding="utf-8", errors="backslashreplace")
    partial.replace(out)
