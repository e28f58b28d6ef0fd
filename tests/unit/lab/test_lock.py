"""One directory, one process."""

import os
import signal
import subprocess
import sys
import time

import pytest

from archloop.errors import Conflict, Unavailable
from archloop_lab import lock

HOLDER = """
import sys, time
from pathlib import Path
from archloop_lab import lock
with lock.held(Path(sys.argv[1])):
    print("held", flush=True)
    {inside}
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the directory, and does something more."""
    started = []

    def start(inside=""):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER.format(inside=inside), tmp_path], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_who_comes_second_is_told_who_is_there_and_changes_nothing(holder, tmp_path):
    process = holder()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with (
        pytest.raises(Conflict, match=rf"in use by process {process.pid} on \S+ since \d{{4}}-") as caught,
        lock.held(tmp_path),
    ):
        pass
    assert str(tmp_path) in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_to_ask_who_is_there_makes_nothing(holder, tmp_path):
    lock.refuse_held(tmp_path)
    lock.refuse_held(tmp_path / "nowhere")
    assert not list(tmp_path.iterdir())
    process = holder()
    for _ in range(2):
        with pytest.raises(Conflict, match=f"process {process.pid} "):
            lock.refuse_held(tmp_path)
    process.kill()
    process.wait()
    lock.refuse_held(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_its_holder(number, holder, tmp_path):
    process = holder()
    process.send_signal(number)
    process.wait()
    with lock.held(tmp_path):
        pass


def test_a_program_that_the_holder_started_does_not_hold_it(holder, tmp_path):
    process = holder("import subprocess; subprocess.Popen(['sleep', '5'], stdout=subprocess.DEVNULL, close_fds=False)")
    time.sleep(0.2)
    process.kill()
    process.wait()
    with lock.held(tmp_path):
        pass


def test_it_is_free_again_after_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(RuntimeError), lock.held(tmp_path):
            raise RuntimeError


def test_within_one_process_too(tmp_path):
    with lock.held(tmp_path), pytest.raises(Conflict, match=str(os.getpid())), lock.held(tmp_path):
        pass


@pytest.mark.parametrize("signature", [b"", b"{", b"[1]", b'{"pid": 1}', b"\xff\xfe", b"null"])
def test_a_signature_that_cannot_be_read_holds_as_well(signature, tmp_path):
    with lock.held(tmp_path):
        (tmp_path / lock.FILE).write_bytes(signature)
        with pytest.raises(Conflict, match="another process"), lock.held(tmp_path):
            pass


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / lock.FILE).symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match=lock.FILE), lock.held(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_file_system_without_locks_is_refused(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock.fcntl, "flock", none)
    with pytest.raises(Unavailable, match="no locks"), lock.held(tmp_path):
        pass
