"""What a run says of a disk that is full, before it begins and while it goes on."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from archloop import presets
from archloop_cli import guard, runs


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
