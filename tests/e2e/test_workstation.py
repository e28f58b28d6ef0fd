"""The how-to for one workstation: its commands as they stand, and what they leave on a machine without a GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from archloop_cli.docs import fits
from tests.support import shell_of, without_settings

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / fits.PAGE

pytestmark = [pytest.mark.timeout(400), pytest.mark.slow]


def test_every_command_of_the_how_to_does_what_it_says(tmp_path):
    env = without_settings() | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "CUDA_VISIBLE_DEVICES": "",
    }
    result = subprocess.run(shell_of(HOW_TO), cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "our own server on the CPU" in result.stdout
    assert (tmp_path / "runs/first/report.html").is_file()
    kept = json.loads((tmp_path / "runs/first/manifest.json").read_text())["placement"]
    assert (kept["devices"], kept["backend"]) == ("auto", "auto")
    assert ["trainer", "on the CPU"] in kept["plan"]
