"""The how-to on studies, from its file to the report."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import shell_of, without_settings

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs/how-to/studies.md"
PAPER = ROOT / "docs/how-to/paper.md"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def shell(page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    env = without_settings() | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HF_HUB_CACHE": str(folder / "hub"),
        "ARCHLOOP_EVALUATOR_DATA_DIR": str(folder / "data"),
    }
    return subprocess.run(shell_of(page), cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_the_study_of_the_how_to_runs_every_variant_with_every_seed_and_goes_on_after_an_interruption(tmp_path) -> None:
    content = re.search(r"^```yaml\n(.*?)^```$", HOW_TO.read_text(), re.DOTALL | re.MULTILINE)[1]
    less = re.sub(r"^  no-replay:.*\n", "", content.replace("seeds: [0, 1]", "seeds: [0]"), flags=re.MULTILINE)
    less = less.replace("settings: {", "settings: {training: {epochs: 1, minimum_steps: 20}, ")
    (tmp_path / "mine.yaml").write_text(less)
    first = shell(HOW_TO, tmp_path)
    assert first.returncode == 0, first.stderr
    with (tmp_path / "studies/mine/runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["variant"], row["status"]) for row in rows} == {("loop", "finished"), ("frozen", "finished")}
    by_variant = {row["variant"]: row for row in rows}
    cycles = json.loads((tmp_path / "studies/mine/frozen-s0/summary.json").read_text())["cycles"]
    assert by_variant["frozen"]["valid_rate"] == str(cycles[-1]["valid_rate"])
    assert [cycle["adapter"] for cycle in cycles] == [None, None]

    registry = tmp_path / "studies/mine/loop-s0/registry.sqlite"
    (tmp_path / "studies/mine/frozen-s0/summary.json").unlink()
    before = registry.stat().st_mtime_ns
    again = shell(HOW_TO, tmp_path)
    assert again.returncode == 0, again.stderr
    assert registry.stat().st_mtime_ns == before
    assert (tmp_path / "studies/mine/frozen-s0/summary.json").is_file()


def test_the_papers_plan_names_all_that_is_missing_and_starts_nothing(tmp_path) -> None:
    result = shell(PAPER, tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "not everything is there"
    for what in ("base model deepseek-ai/", "data set cifar10", "pairs to begin with"):
        assert f"missing {what}" in result.stdout
    assert "GPU-hours" in result.stdout
    assert not (tmp_path / "runs").exists()
