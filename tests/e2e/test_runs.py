"""The how-to on runs, its small commands as they stand, on a preset that tunes in few steps."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from archloop import presets
from tests.support import refusal, shell_of, without_settings

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs/how-to/runs.md"

pytestmark = pytest.mark.timeout(900)


def test_every_command_of_the_how_to_does_what_it_says(tmp_path):
    env = without_settings() | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    quick = presets.load("demo").model_dump(mode="json")
    quick["training"] |= {"epochs": 1, "minimum_steps": 20}
    (tmp_path / "demo.yaml").write_text(json.dumps(quick))  # JSON is YAML
    *shell, page = shell_of(HOW_TO)
    assert page.count("archloop run ") == 3
    commands = page.replace("archloop run ", "archloop run --preset demo.yaml ")
    result = subprocess.run([*shell, commands], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    pairs = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    assert len(pairs) == 24
    assert all("class Net(nn.Module)" in pair["completion"] for pair in pairs)
    started = json.loads((tmp_path / "runs/started/manifest.json").read_text())
    assert started["spec"]["bootstrap"]["count"] == 24
    first = json.loads((tmp_path / "runs/started/summary.json").read_text())["cycles"][0]
    assert first["adapter"] == "demo-s0-start"
    limited = json.loads((tmp_path / "runs/limited/summary.json").read_text())
    assert (limited["status"], limited["reason"]) == ("finished", "budget exhausted: candidates 6 of 6")
    assert [cycle["generated"] for cycle in limited["cycles"]] == [4, 2]
    page = (tmp_path / "runs/limited/report.html").read_text()
    assert "Cycle 0, the last that both closed" in page or "Cycle 1, the last that both closed" in page
    assert len((tmp_path / "runs/limited/candidates.csv").read_text().splitlines()) == 1 + 6


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--budget", "tokens"], ["--budget", "tokens", "NAME=VALUE"]),
        (["--budget", "pencils=3"], ["budget.pencils", "no field of this name"]),
        (["--budget", "tokens=many"], ["budget.tokens", "many"]),
        (["--pairs", "nowhere.jsonl"], ["file of pairs", "nowhere.jsonl"]),
        (["--pairs", "nowhere.jsonl", "--server", "http://127.0.0.1:9"], ["file of pairs", "nowhere.jsonl"]),
        (["--preset", "paper", "--protocol", "digits", "--model", "tiny"], ["--pairs", "archloop lemur pairs"]),
    ],
)
def test_wrong_options_are_one_line_that_names_the_thing(arguments, named, tmp_path):
    line = refusal("run", *arguments, "--out", tmp_path / "run")
    for word in named:
        assert word in line
    assert not (tmp_path / "run").exists()


def test_a_model_that_is_not_known_is_one_line():
    assert "smollm2" in refusal("model", "fetch", "gpt-9")
