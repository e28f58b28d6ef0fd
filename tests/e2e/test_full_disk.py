"""A disk that fills up in the middle of a run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import recorded, small_preset

pytestmark = pytest.mark.timeout(180)

# In a mount namespace of its own, so that the small disk goes away with the shell, however the test ends.
SCRIPT = """
mount -t tmpfs -o size=33m,mode=755 tmpfs disk
"$PYTHON" -m archloop_cli run --preset small.yaml --out disk/run > first.log 2>&1
echo $? > first.code
cp -r disk/run before
mount -o remount,size=256m disk
"$PYTHON" -m archloop_cli resume disk/run > second.log 2>&1
echo $? > second.code
cp -r disk/run after
"""


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk can be mounted by root only")
def test_a_full_disk_stops_the_run_with_room_to_spare_and_resume_ends_it(tmp_path: Path) -> None:
    small_preset(tmp_path, candidates=8)
    (tmp_path / "disk").mkdir()
    command = ["unshare", "--mount", "sh", "-c", SCRIPT]
    subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHON": sys.executable}, check=True)
    said = (tmp_path / "first.log").read_text()
    assert "disk/run" in said
    assert "MiB are needed" in said
    assert "archloop resume" in said
    assert "Traceback" not in said
    assert (tmp_path / "first.code").read_text() == "1\n"
    assert (tmp_path / "second.code").read_text() == "0\n", (tmp_path / "second.log").read_text()
    before, after = recorded(tmp_path / "before"), recorded(tmp_path / "after")
    assert before.codes
    assert len(after.evaluations) == 16
    assert all(old.items() <= new.items() for old, new in zip(before, after, strict=True))
