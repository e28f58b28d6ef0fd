"""Progress bars of work that goes in steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from archloop.sanitising import plain
from archloop_cli import terminal


@contextmanager
def bars(*, transient: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar on standard error for each step; call what is yielded with (step, done, total).

    They stay to be seen, unless they are `transient`.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}", markup=False),
        TimeRemainingColumn(),
    )
    shown = terminal.err.is_terminal or not transient  # elsewhere all that is left of them would be an empty line
    progress = Progress(*columns, console=terminal.err, transient=transient, disable=not shown)
    tasks = dict[str, TaskID]()

    def advance(step: str, done: int, total: int) -> None:
        if step not in tasks:
            progress.start()
            tasks[step] = progress.add_task(plain(step), total=total)
        progress.update(tasks[step], completed=done)

    try:
        yield advance
    finally:
        if tasks:  # what was never shown leaves no empty line
            progress.stop()
