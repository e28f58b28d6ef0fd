"""Sources by the names that a user gives, with odd things in a folder."""

import contextlib
import os
import socket
import threading
from pathlib import Path

import pytest

from archloop.errors import InvalidInput, NotFound
from archloop_cli import walking
from archloop_cli.walking import Found


def _socket(path):
    with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(path.parent):  # its name is bounded
        listener.bind(path.name)


ODD = {
    "folder": (lambda path: path.mkdir(), None),
    "link to nothing": (lambda path: path.symlink_to("nowhere"), "a link to nothing"),
    "editor's lock": (lambda path: path.with_name(".#net.py").symlink_to("me@host.123:456"), "a link to nothing"),
    "link to itself": (lambda path: path.symlink_to(path), "symbolic links"),
    "pipe": (os.mkfifo, "a pipe"),
    "socket": (_socket, "a socket"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "a device"),
    "too large": (
        lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), walking.LARGEST + 1),
        "at most 16 MiB",
    ),
}


@pytest.mark.parametrize(("make", "why"), ODD.values(), ids=ODD)
def test_what_is_no_source_stops_no_other(make, why, tmp_path):
    (tmp_path / "net.py").write_text("a = 1\n")
    make(tmp_path / "odd.py")
    found = list(walking.sources([tmp_path]))
    assert [each.content for each in found if isinstance(each, Found)] == [b"a = 1\n"]
    skipped = [each for each in found if not isinstance(each, Found)]
    assert len(skipped) == (why is not None)
    assert all(why in each.why and each.lost is (why == "at most 16 MiB") for each in skipped)


@pytest.mark.parametrize(
    "name", [b"caf\xe9.py", b"a\nb.py", b"[b].py", b"\x1b[31m.py", b" .py", b"-x.py", b".hidden.py"]
)
def test_a_file_may_have_any_name(name, tmp_path):
    (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    (found,) = walking.sources([tmp_path])
    assert (os.fsencode(found.path.name), found.content) == (name, b"x")


def test_folders_below_are_walked_and_links_to_folders_are_not(tmp_path):
    (tmp_path / "a/dir.py").mkdir(parents=True)
    (tmp_path / "a/dir.py/net.py").write_text("1")
    (tmp_path / "a/loop").symlink_to(tmp_path)
    assert [each.path.name for each in walking.sources([tmp_path])] == ["net.py"]


def test_a_pipe_that_is_named_is_read(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"a = 1\n",))
    writer.start()
    assert walking.read(pipe) == b"a = 1\n"
    writer.join()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("nowhere.py", NotFound),
        ("folder", IsADirectoryError),
        ("file/net.py", NotADirectoryError),
        ("x" * 300, OSError),
        ("empty", NotFound),
    ],
)
def test_what_was_named_and_cannot_be_read_is_an_error(name, error, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").mkdir()
    with pytest.raises(error):
        walking.read(tmp_path / name) if name == "folder" else list(walking.sources([tmp_path / name]))


def test_what_never_ends_is_not_read_to_its_end():
    with pytest.raises(InvalidInput, match="/dev/zero"):
        walking.read(Path("/dev/zero"))
