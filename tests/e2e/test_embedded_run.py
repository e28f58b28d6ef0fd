"""The whole loop on one machine, through the command a user types."""

import json
from pathlib import Path

import pytest

from tests.support import archloop, recorded, small_preset

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("e2e")
    directory = folder / "run"
    result = archloop("run", "--preset", small_preset(folder), "--out", directory, "--json")
    assert result.returncode == 0, result.stderr
    return directory, json.loads(result.stdout)


def test_the_summary_counts_every_candidate_once(run) -> None:
    directory, printed = run
    summary = json.loads((directory / "summary.json").read_text())
    assert summary == printed
    assert [cycle["generated"] for cycle in summary["cycles"]] == [8, 8]
    for cycle in summary["cycles"]:
        assert sum(cycle["outcomes"].values()) == 8
        assert cycle["valid"] == cycle["outcomes"].get("ok", 0)
        assert cycle["valid_rate_low"] <= cycle["valid_rate"] <= cycle["valid_rate_high"]
        assert cycle["admitted"] <= cycle["novel"] <= cycle["valid"]


def test_the_llm_of_the_second_cycle_was_tuned_on_the_first(run) -> None:
    directory, summary = run
    assert [cycle["adapter"] for cycle in summary["cycles"]] == [None, "small-s5-c0"]
    assert (directory / "blobs/adapters/small-s5-c0/manifest.json").is_file()


def test_the_manifest_says_what_a_rerun_needs(run) -> None:
    directory, _ = run
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["spec"]["seed"] == 5
    assert len(manifest["protocol"]["sha256"]) == len(manifest["base_model"]["sha256"]) == 64
    assert {"torch", "peft", "datasketch"} <= manifest["libraries"].keys()


def test_the_report_is_one_offline_file(run) -> None:
    directory, _ = run
    page = (directory / "report.html").read_text()
    assert "<svg" in page
    assert 'src="http' not in page
    assert "<link" not in page


def test_nothing_was_parked(run) -> None:
    directory, _ = run
    result = archloop("parked", "list", "--run", directory)
    assert (result.returncode, result.stdout) == (0, "")


def test_resuming_a_finished_run_changes_nothing(run) -> None:
    directory, _ = run
    before = recorded(directory)
    result = archloop("resume", directory)
    assert result.returncode == 0, result.stderr
    assert recorded(directory) == before


def test_the_same_seed_gives_the_same_candidates_and_scores(run, tmp_path: Path) -> None:
    directory, summary = run
    again = tmp_path / "again"
    result = archloop("run", "--preset", small_preset(tmp_path), "--out", again, "--json")
    assert result.returncode == 0, result.stderr
    assert recorded(again).codes == recorded(directory).codes
    measured = ("valid", "mean_accuracy", "best_accuracy", "outcomes", "novel", "admitted", "median_similarity")
    for mine, theirs in zip(json.loads(result.stdout)["cycles"], summary["cycles"], strict=True):
        assert {k: mine[k] for k in measured} == {k: theirs[k] for k in measured}


def test_a_directory_that_holds_a_run_is_not_overwritten(run) -> None:
    directory, _ = run
    result = archloop("run", "--preset", small_preset(directory.parent), "--out", directory)
    assert result.returncode == 1
    assert "archloop resume" in result.stderr
