"""Templates that take whatever they are given for text: nothing of it is markup, hidden, or turns others round."""

from datetime import datetime
from functools import cache
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pydantic_core import to_json

from archloop import __version__
from archloop.numerals import UNKNOWN, count, duration, number, percent
from archloop.sanitising import plain_lines


def when(time: datetime | None) -> str:
    """Write a time to the second, in UTC."""
    return UNKNOWN if time is None else f"{time:%Y-%m-%d %H:%M:%S}"


def words(name: object) -> str:
    """Write a name of ours for people."""
    return str(name).replace("_", " ")


def json(value: Any) -> str:
    """Write a value as JSON, for an attribute that a script reads."""
    return to_json(value, inf_nan_mode="null").decode()


@cache
def environment() -> Environment:
    """Return the templates of the page."""
    made = Environment(
        loader=PackageLoader("services.registry.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    forms = (count, duration, json, number, percent, when, words)
    made.filters.update({form.__name__: form for form in forms})
    made.globals.update(version=__version__, UNKNOWN=UNKNOWN)
    return made


def page(name: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    """Answer with the template of this name."""
    return HTMLResponse(environment().get_template(name).render(**values), status)


def _shown(value: object) -> object:
    """Escape control and bidi characters of text; markup is the templates' own."""
    return plain_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value
