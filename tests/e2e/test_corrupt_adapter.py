"""An adapter whose bytes changed on disk between two sittings of a run."""

import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.support import archloop, command, recorded, small_preset

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ADAPTER = "blobs/adapters/small-s5-c0/adapter_model.safetensors"


def adapters(directory: Path) -> int:
    try:
        with sqlite3.connect(f"file:{directory}/registry.sqlite?mode=ro", uri=True) as connection:
            count: int = connection.execute("select count(*) from adapters").fetchone()[0]
            return count
    except sqlite3.OperationalError:
        return 0


def killed_after_the_first_tuning(preset: Path, directory: Path) -> None:
    with subprocess.Popen(command("run", "--preset", preset, "--out", directory), stdout=subprocess.DEVNULL) as process:
        while not adapters(directory):
            assert process.poll() is None, "the run ended before its first adapter"
            time.sleep(0.05)
        process.kill()


def test_a_corrupt_adapter_stops_the_run_by_name_and_hash_and_once_restored_the_run_ends(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    killed_after_the_first_tuning(small_preset(tmp_path, cycles=2), directory)
    sound = (directory / ADAPTER).read_bytes()
    (directory / ADAPTER).write_bytes(sound[:-1] + bytes([sound[-1] ^ 255]))
    before = recorded(directory)
    refused = archloop("resume", directory)
    assert refused.returncode == 1
    for word in ("adapters/small-s5-c0/adapter_model.safetensors", "corrupt", "expected", "archloop resume"):
        assert word in refused.stderr
    assert "Traceback" not in refused.stderr
    (directory / ADAPTER).write_bytes(sound)
    ended = archloop("resume", directory)
    assert ended.returncode == 0, ended.stderr
    assert all(old.items() <= new.items() for old, new in zip(before, recorded(directory), strict=True))
