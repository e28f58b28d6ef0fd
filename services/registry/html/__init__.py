"""What the page and reports have in common: templates that take whatever they are given for text, and a theme."""

from collections.abc import Callable

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from archloop.numerals import count, duration, number, percent
from archloop.sanitising import plain_lines


def words(name: object) -> str:
    """Write a name of ours for people."""
    return str(name).replace("_", " ")


def templates(package: str, folder: str, *forms: Callable[..., str]) -> Environment:
    """Return the templates of a package's folder, which may include the theme; `forms` are filters of their own.

    Nothing that they are given is markup, hidden, or turns others round.
    """
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package, folder), PackageLoader(__name__, ".")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.filters.update({form.__name__: form for form in (count, duration, number, percent, words, *forms)})
    return made


def _shown(value: object) -> object:
    """Escape control and bidi characters of text; markup is our own."""
    return plain_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value
