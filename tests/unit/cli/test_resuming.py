"""Whether a run is paused, where it was killed before anything of it was on record."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from archloop_cli import steering
from archloop_lab.run_directory import RunDirectory
from services.registry.stores.sqlite import SqliteStore


def nothing(_: Path) -> None:
    """Leave the directory as it is."""


def empty_file(path: Path) -> None:
    """Leave what is there before a database has its first page."""
    path.touch()


def no_rows(path: Path) -> None:
    """Leave a database with its tables, and no run."""

    async def made() -> None:
        store = SqliteStore(path)
        await store.runs()
        await store.close()

    asyncio.run(made())


@pytest.mark.parametrize("left", [nothing, empty_file, no_rows])
def test_a_run_of_which_nothing_is_on_record_is_not_paused(tmp_path: Path, left: Callable[[Path], None]) -> None:
    left(RunDirectory(tmp_path).registry_file)
    assert not steering.resumed(str(tmp_path), None)
