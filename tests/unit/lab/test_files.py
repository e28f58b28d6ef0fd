"""Files that a user names are whole or as they were, whatever they are named to be."""

import errno
import os
import threading

import pytest

from archloop_lab import files

OLD, NEW = b"as it was\n", b"new\n" * 5000


@pytest.mark.parametrize(
    "name", ["made", "made.jsonl", "a b", "[b].x", "caf\udce9", "x" * 255, ".hidden", "made.partial"]
)
@pytest.mark.parametrize("is_there", [True, False])
def test_a_file_of_any_name_is_written(name, is_there, tmp_path):
    path = tmp_path / name
    if is_there:
        path.write_bytes(OLD)
    files.write_named(path, NEW)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [(name, NEW)]


@pytest.mark.parametrize("target", ["real", "sub/real", "nowhere"])
def test_a_link_stays_one(target, tmp_path):
    (tmp_path / "sub").mkdir()
    if target != "nowhere":
        (tmp_path / target).write_bytes(OLD)
    (tmp_path / "link").symlink_to(target)
    files.write_named(tmp_path / "link", NEW)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / target).read_bytes() == NEW


def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    files.write_named(tmp_path / "pipe", NEW)
    reader.join()
    assert read == [NEW]
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), MemoryError()]
)
@pytest.mark.parametrize("is_there", [True, False])
def test_what_cannot_be_finished_leaves_what_was_there(error, is_there, tmp_path, monkeypatch):
    path = tmp_path / "made"
    if is_there:
        path.write_bytes(OLD)

    def fails(_):
        raise error

    monkeypatch.setattr(files.os, "fsync", fails)
    with pytest.raises(type(error)) as raised:
        files.write_named(path, NEW)
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [OLD] * is_there
    if isinstance(error, OSError):
        assert raised.value.filename == str(path)


@pytest.mark.parametrize("name", ["", "sub", "nowhere/made", "file/made", "x" * 256])
def test_where_no_file_can_be_the_error_names_it_as_it_was_given(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"directory|too long") as raised:
        files.write_named(files.Path(name), NEW)
    assert raised.value.filename == (name or ".")


@pytest.mark.parametrize("path", ["/dev/full", "folder"])
def test_what_cannot_be_written_to_is_named(path, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError) as refused:  # noqa: PT011 - which one it is depends on the path
        files.write_named(tmp_path / path, NEW)
    assert refused.value.filename == str(tmp_path / path)
