"""Rows as a table on a terminal, and as lines with tabs between the columns where something else reads them."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table

from archloop.sanitising import plain
from archloop_cli import terminal
from archloop_cli.progress import percent

NOTHING = "-"


def put(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print the rows under their head."""
    if not terminal.is_terminal():
        for row in (head, *rows):
            terminal.put_lines("\t".join(map(cell, row)))
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(cell, row))
    terminal.show(table)


def cell(value: object) -> str:
    """Return what stands for a value: one line, and a dash for nothing."""
    return NOTHING if value is None or value == "" else plain(value)


def share(value: float | None) -> str:
    """Return a share for people."""
    return NOTHING if value is None else percent(value, 1)
