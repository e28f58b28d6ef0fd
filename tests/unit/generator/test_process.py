"""The model server's process: gone with its parent, quiet about Ctrl-C."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from archloop.errors import Unavailable
from services.generator.modelserver import process
from services.generator.modelserver.process import spawned

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]

PARENT = """
import asyncio
from services.generator.modelserver.process import spawned

async def main():
    async with spawned("nowhere", slots=8, threads=1, log=None):
        pass

asyncio.run(main())
"""


@pytest.fixture
def parent():
    process = subprocess.Popen([sys.executable, "-c", PARENT])
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


def test_it_dies_with_its_parent_even_by_sigkill(parent):
    while not (children := parent.children()):
        time.sleep(0.01)
    child = children[0]
    # stopped, it cannot end for any other reason
    child.suspend()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    child.resume()
    _, alive = psutil.wait_procs([child], timeout=20)
    assert not alive


def _folder(path, config, **files):
    path.mkdir(parents=True)
    (path / "config.json").write_text(config)
    for name, content in files.items():
        (path / name).write_text(content)
    return str(path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: _folder(root / "m", "{"), "cannot be loaded"),
        pytest.param(
            *(lambda root: _folder(root / "m", '{"model_type": "\\u001b[2Jnone"}'), "cannot be loaded"),
            marks=pytest.mark.thorough,
        ),
        (lambda root: _folder(root / "[red]m[/]", "{}"), r"named '.*\[red\]m"),
        (lambda root: _folder(root / "m", '{"model_type": "llama"}'), "ended with status 1"),
        pytest.param(
            *(lambda root: str(root / "not" / "there" / "at" / "all"), "the hub cannot give it"),
            marks=pytest.mark.thorough,
        ),
        pytest.param(*(lambda root: "x" * 300, "the hub cannot give it"), marks=pytest.mark.thorough),
        (lambda root: "two\nlines", "the hub cannot give it"),
    ],
)
async def test_a_server_that_does_not_start_says_why_in_one_plain_line(make, words, tmp_path):
    log = tmp_path / "log"
    log.write_text("the end of another start\n")
    with pytest.raises(Unavailable, match=words) as raised:
        async with spawned(make(tmp_path), slots=8, threads=1, log=log):
            pass
    said = str(raised.value)
    assert said.isprintable()
    assert len(said) < 600
    assert "another start" not in said


@pytest.mark.parametrize(
    ("child", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was ended by signal 9"),
        ("import sys; sys.exit(3)", "ended with status 3"),
        ("print('\\x1b[31mhello')", r"should tell its port, and says '.x1b\[31mhello"),
        (
            "import sys; sys.stderr.write('a\\nMemoryError: \\x07bell\\n'); sys.exit(1)",
            r"status 1: MemoryError: .x07bell",
        ),
        ("import sys; sys.stderr.buffer.write(b'\\xff' * 9000); sys.exit(1)", "ended with status 1"),
        ("import socket as s; l = s.create_server(('127.0.0.1', 0)); print(l.getsockname()[1])", "ended with status 0"),
    ],
)
async def test_whatever_the_child_does_instead_is_told(child, words, tmp_path, monkeypatch):
    script = tmp_path / "child"
    script.write_text(f"#!{sys.executable}\n{child}\n")
    script.chmod(0o755)
    monkeypatch.setattr(process.sys, "executable", str(script))
    with pytest.raises(Unavailable, match=words) as raised:
        async with spawned("tiny", slots=8, threads=1, log=None):
            pass
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize(
    ("given", "kept", "waiting"),
    [
        (None, b"hugetlb=1", None),
        ("glibc.malloc.arena_max=2", b"arena_max=2", "active"),
        ("glibc.malloc.hugetlb=0", b"hugetlb=0", None),
    ],
)
def test_a_server_has_huge_pages_and_threads_that_wait_asleep_unless_it_is_told_otherwise(
    given, kept, waiting, monkeypatch
):
    for name, value in {"GLIBC_TUNABLES": given, "OMP_WAIT_POLICY": waiting}.items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    command = [sys.executable, "-m", "services.generator.modelserver", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        # its port is told before the model is read, and after it began again; and the C library cuts the setting
        # into its parts where it stands
        assert server.stdout.readline().strip().isdigit()
        environment = Path(f"/proc/{server.pid}/environ").read_bytes()
        server.kill()
    assert kept in environment
    assert (b"hugetlb=1" in environment) is (kept != b"hugetlb=0")
    assert f"OMP_WAIT_POLICY={waiting or 'passive'}\0".encode() in environment
