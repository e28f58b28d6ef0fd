"""Lines of CSV (RFC 4180) that a spreadsheet shows and does not compute."""

import csv
import io
from collections.abc import Iterable
from numbers import Real

from archloop.sanitising import plain

# OWASP: a cell that begins so is a formula to a spreadsheet, which may call programs and servers.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def line(cells: Iterable[object]) -> str:
    """Write a line: null is an empty cell, true and false are 1 and 0, and numbers are as they are.

    Text is one line, without control and bidi characters, and no formula.
    """
    text = io.StringIO(newline="")
    csv.writer(text).writerow([_cell(each) for each in cells])
    return text.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Real):
        return value
    shown = plain(value)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown
