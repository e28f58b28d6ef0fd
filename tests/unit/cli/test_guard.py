"""What a run says of a disk that is full, before it begins and while it goes on."""

import errno
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from archloop import presets
from archloop.errors import Misconfigured, Unavailable
from archloop_cli import guard, runs
from archloop_lab import manifests


@pytest.fixture
def _full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))


@pytest.mark.usefixtures("_full")
def test_a_run_that_cannot_begin_leaves_nothing_and_offers_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(guard.DiskFull, match="nothing was begun: free some space first") as raised:
        runs.start(presets.load("demo"), tmp_path / "run")
    assert "resume" not in str(raised.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("_full")
def test_a_run_that_is_under_way_can_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(guard.DiskFull, match=f"`archloop resume {tmp_path}`"):
        guard.Guard(tmp_path).check_disk()


@pytest.mark.parametrize(
    "error",
    [
        Misconfigured("ARCHLOOP_NOVELTY_STORE", "cannot be opened: database or disk is full"),
        Unavailable("registry database: database or disk is full"),
        OSError(errno.ENOSPC, "No space left on device", "log.jsonl"),
        sqlite3.OperationalError("unable to open database file"),
        RuntimeError("the model server did not start"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("free", [0, 2**40])
def test_what_fails_on_a_full_disk_fails_for_that(
    error: Exception, free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drive(*_: object, **__: object) -> None:
        monkeypatch.setattr(guard.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
        raise error

    manifests.write(tmp_path / "manifest.json", manifests.content_of("run-1", presets.load("demo")))
    monkeypatch.setattr(runs, "_drive", drive)
    with pytest.raises(type(error) if free else guard.DiskFull, match=None if free else "archloop resume"):
        runs.resume(tmp_path)
