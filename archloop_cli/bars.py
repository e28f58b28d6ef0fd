"""Progress bars of work that goes in steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


@contextmanager
def bars() -> Iterator[Callable[[str, int, int], None]]:
    """On standard error, one for each step; call what is yielded with (step, done, total)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
    )
    progress, tasks = Progress(*columns, console=Console(stderr=True)), dict[str, TaskID]()

    def advance(step: str, done: int, total: int) -> None:
        if step not in tasks:
            progress.start()
            tasks[step] = progress.add_task(step, total=total)
        progress.update(tasks[step], completed=done)

    try:
        yield advance
    finally:
        if tasks:  # what was never shown leaves no empty line
            progress.stop()
