"""What options of several commands have in common."""

import math

import typer
from pydantic import TypeAdapter, ValidationError

from archloop.contracts.base import RunId
from archloop.errors import InvalidInput

LARGEST_SEED = 2**31 - 1
MOST = 1_000_000


def finite(value: float) -> float:
    """Refuse NaN, which a range lets pass since it is neither below nor above anything."""
    if math.isnan(value):
        raise typer.BadParameter(f"{value} is no number")
    return value


def run_name(value: str | None) -> str | None:
    """Refuse what no run can be called, before a folder is made of it. Raises InvalidInput."""
    try:
        return None if value is None else TypeAdapter(RunId).validate_python(value)
    except ValidationError:
        expected = "at most 63 letters, digits, `.`, `_` and `-`, a letter or digit first"
        raise InvalidInput("--name", value, expected) from None
