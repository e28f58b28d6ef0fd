"""The one door for what the command says. Whatever goes through it is text: never markup, never obeyed by a terminal.

Results go to standard output, all that is said about the work to standard error. Nothing else in this package prints,
or makes a rich console: ruff forbids it (`pyproject.toml`).
"""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from archloop.sanitising import plain, plain_lines


class _Plain(Console):
    """Text that is given to it, in a table's cell too, is shown as it is, and its control characters are escaped."""

    def __init__(self, *, stderr: bool) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(plain_lines(text), **options)

    def on_broken_pipe(self) -> None:
        """Raise it, for `archloop_cli.main` says how that ends."""
        raise BrokenPipeError


_out = _Plain(stderr=False)
err = _Plain(stderr=True)


def put(line: object) -> None:
    """Print one line of results at once."""
    _write(f"{plain(line)}\n")


def put_styled(text: object, style: str) -> None:
    """Print a line of results that may have a colour on a terminal; elsewhere it is as it is, tabs and all."""
    if _out.is_terminal:
        _out.print(Text(plain_lines(text), style=style), soft_wrap=True)
    else:
        put_lines(text)


def put_lines(text: object) -> None:
    """Print results that have several lines of their own."""
    _write(f"{plain_lines(text)}\n")


def put_json(content: Any) -> None:
    """Print one line of JSON in ASCII: what is not stands as an escape."""
    _write(f"{json.dumps(content)}\n")


def show(drawn: RenderableType) -> None:
    """Print a table, or whatever else rich can draw, as a result."""
    _out.print(drawn)


def say(line: object, *, mark: str = "", style: str = "") -> None:
    """Print one line about the work. The mark before it is ours, and may have a colour."""
    err.print(styled(mark, style) + Text(f"{' ' if mark else ''}{plain(line)}"), soft_wrap=True)


def is_terminal() -> bool:
    """Return whether results are read on a terminal."""
    return _out.is_terminal


def draw(drawn: RenderableType) -> None:
    """Print a table, or whatever else rich can draw, about the work."""
    err.print(drawn)


def fail(code: str, line: object, notes: Iterable[str] = ()) -> None:
    """Say what went wrong: one line, and below it what to do."""
    say(f"[{code}] {plain(line)}", mark="error", style="red")
    for note in notes:
        say(f"  {plain(note)}")


def dump(text: object) -> None:
    """Print many lines about the work as they are, such as a traceback."""
    err.print(Text(plain_lines(text)), soft_wrap=True)


@contextmanager
def working(line: str) -> Iterator[None]:
    """Show that something takes its time."""
    with err.status(Text(plain(line))):
        yield


def styled(text: object, style: str) -> Text:
    """Make text with a colour or weight."""
    return Text(plain(text), style=style)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
