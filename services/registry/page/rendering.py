"""Templates that take whatever they are given for text: nothing of it is markup, hidden, or turns others round."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment
from pydantic_core import to_json

from archloop import __version__
from archloop.numerals import UNKNOWN
from services.registry import html


def when(time: datetime | None) -> str:
    """Write a time to the second, in UTC."""
    return UNKNOWN if time is None else f"{time:%Y-%m-%d %H:%M:%S}"


def json(value: Any) -> str:
    """Write a value as JSON, for an attribute that a script reads."""
    return to_json(value, inf_nan_mode="null").decode()


@cache
def environment() -> Environment:
    """Return the templates of the page."""
    made = html.templates("services.registry.page", "templates", json, when)
    made.globals.update(version=__version__, UNKNOWN=UNKNOWN)
    return made


def page(name: str, status: int = 200, /, *, headers: Mapping[str, str] | None = None, **values: Any) -> HTMLResponse:
    """Answer with the template of this name."""
    return HTMLResponse(environment().get_template(name).render(**values), status, headers)
