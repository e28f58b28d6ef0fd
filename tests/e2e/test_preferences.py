"""A run that learns from preferences, with the model that ships, through the command a user types."""

import json
from pathlib import Path

import pytest

from archloop.training_pairs import read
from tests.support import archloop, small_preset

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PREFERENCES = """
generation: {prompts: 4}
training: {method: dpo, learning_rate: 0.001, epochs: 1, batch_size: 4}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("preferences")
    preset = small_preset(folder)
    preset.write_text(preset.read_text() + PREFERENCES)
    result = archloop("run", "--preset", preset, "--out", folder / "run", "--json")
    assert result.returncode == 0, result.stderr
    return folder / "run", json.loads(result.stdout)


def test_an_adapter_is_trained_on_preferences_proven_and_served(run) -> None:
    directory, summary = run
    assert [cycle["adapter"] for cycle in summary["cycles"]] == [None, "small-s5-c0"]
    assert [cycle["generated"] for cycle in summary["cycles"]] == [8, 8]
    manifest = json.loads((directory / "blobs/adapters/small-s5-c0/manifest.json").read_text())
    assert (manifest["method"], manifest["loss_curve"][0]) == ("dpo", pytest.approx(0.6931, abs=1e-3))
    assert summary["status"] == "finished"


def test_what_it_was_trained_on_are_preferences(run) -> None:
    directory, _ = run
    (lines,) = directory.glob("blobs/runs/*/pairs/c0-*.jsonl")
    pairs = read(lines)
    assert pairs
    assert all(pair.rejected and pair.rejected != pair.completion for pair in pairs)


def test_a_run_whose_prompts_are_all_different_is_refused_by_one_line(tmp_path) -> None:
    preset = small_preset(tmp_path)
    preset.write_text(preset.read_text() + PREFERENCES.replace("{prompts: 4}", "{}"))
    result = archloop("run", "--preset", preset, "--out", tmp_path / "run")
    assert result.returncode == 1
    assert "generation.answers" in result.stderr
    assert "Traceback" not in result.stderr
