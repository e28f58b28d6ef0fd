"""The wheel from the package index: once, and only if it is the one that is meant."""

from pathlib import Path

import pytest

from archloop.errors import IntegrityError
from archloop_lab.lemur import sources
from archloop_lab.wheels import verified


def test_a_wheel_that_is_there_is_not_downloaded_again(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sources, "download", lambda *_: pytest.fail("downloads"))
    there = tmp_path / ".cache/archloop/lemur/nn-dataset==2.1.2.whl"
    there.parent.mkdir(parents=True)
    there.touch()
    assert sources.downloaded() == there


def test_another_wheel_than_the_one_that_is_meant_is_refused_and_not_kept(tmp_path, monkeypatch):
    def fake(_package: str, folder: Path) -> Path:
        (folder / "x.whl").write_text("something else")
        return folder / "x.whl"

    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sources, "download", fake)
    with pytest.raises(IntegrityError, match=r"nn-dataset==2\.1\.2 has sha256"):
        sources.downloaded()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_right_content_passes(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert verified(tmp_path / "file", empty, "file") == tmp_path / "file"
