"""The whole loop on one machine, through the command a user types."""

import csv
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from archloop_lab import manifests
from archloop_lab.reproduction import compared
from services.evaluator.secret import PUBLISHED, Secret
from tests.support import HELDOUT_SETTING, archloop, recorded, refusal, small_preset

HELDOUT = Secret.of(PUBLISHED)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


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
    assert [cycle["generated"] for cycle in summary["cycles"]] == [5, 5]
    for cycle in summary["cycles"]:
        assert sum(cycle["outcomes"].values()) == 5
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


def test_the_summary_tells_how_alike_the_networks_are_and_the_tables_have_every_candidate(run) -> None:
    directory, summary = run
    first, second = summary["cycles"]
    assert first["memorization_median"] is None
    assert second["valid"] == 0 or 0 <= second["memorization_median"] <= 1
    assert first["valid"] < 2 or 0 <= first["diversity_valid"] <= 1
    rows = {
        name: list(csv.DictReader((directory / f"{name}.csv").open()))
        for name in ("cycles", "candidates", "architectures")
    }
    assert {name: len(found) for name, found in rows.items()} == {
        "cycles": 2,
        "candidates": 10,
        "architectures": summary["unique_total"],
    }


def test_nothing_was_parked(run) -> None:
    directory, _ = run
    result = archloop("parked", "list", "--run", directory)
    assert (result.returncode, result.stdout) == (0, "")


def test_resuming_a_finished_run_changes_nothing(run) -> None:
    directory, _ = run
    before, logged = recorded(directory), (directory / "log.jsonl").read_bytes()
    (directory / "report.html").unlink()
    result = archloop("resume", directory)
    assert result.returncode == 0, result.stderr
    assert "small-s5: completed" in result.stderr
    assert recorded(directory) == before
    assert (directory / "report.html").exists()
    assert (directory / "log.jsonl").read_bytes() == logged, "no service was started"


@pytest.mark.thorough
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
    assert "archloop resume" in refusal("run", "--preset", small_preset(directory.parent), "--out", directory)


def untimed(rows: dict, columns: int) -> dict:
    """Outcome, accuracy and hashes, or verdict, family and similarity; times come after."""
    return {name: row[:columns] for name, row in rows.items()}


def test_a_run_done_again_from_its_manifest_is_equal_in_every_candidate_evaluation_and_verdict(run, tmp_path) -> None:
    directory, summary = run
    result = archloop("run", "--from-manifest", directory / "manifest.json", "--out", tmp_path / "again")
    assert result.returncode == 0, result.stderr
    assert "equal in all 10 candidates, evaluations and verdicts" in result.stderr
    then, now = recorded(directory), recorded(tmp_path / "again")
    assert now.codes == then.codes
    assert untimed(now.evaluations, 5) == untimed(then.evaluations, 5)
    assert untimed(now.verdicts, 4) == untimed(then.verdicts, 4)
    assert len(now.codes) == sum(cycle["generated"] for cycle in summary["cycles"])
    assert [c["adapter"] for c in json.loads((tmp_path / "again/summary.json").read_text())["cycles"]] == [
        c["adapter"] for c in summary["cycles"]
    ]


def test_a_manifest_of_another_protocol_is_refused(run, tmp_path) -> None:
    directory, _ = run
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["protocol"]["sha256"] = "0" * 64
    manifests.write(tmp_path / "manifest.json", manifest)
    line = refusal("run", "--from-manifest", tmp_path / "manifest.json", "--out", tmp_path / "again")
    assert "manifest.json: protocol" in line
    assert not (tmp_path / "again").exists()


def test_what_came_out_otherwise_is_named(run, tmp_path) -> None:
    directory, _ = run
    shutil.copytree(directory, tmp_path / "other")
    with sqlite3.connect(tmp_path / "other/registry.sqlite") as db:
        db.execute("UPDATE candidates SET code_sha256 = ? WHERE cycle = 1 AND idx = 3", ("f" * 64,))
    found = compared(directory, tmp_path / "other")
    assert found is not None
    (line,) = found.differing
    assert line.startswith("cycle 1, no. 3: candidates ")


@pytest.mark.thorough
def test_architectures_are_scored_under_another_protocol_and_once_only(run) -> None:
    directory, summary = run
    for _ in range(2):
        result = archloop("transfer", directory, "--protocols", "mnist5k", "--top", 2)
        assert result.returncode == 0, result.stderr
    scored = [json.loads(line) for line in (directory / "transfer.jsonl").read_text().splitlines()]
    assert len(scored) == min(2, summary["unique_total"])
    assert {line["protocol"] for line in scored} == {"mnist5k"}
    with (directory / "transfer.csv").open() as file:
        assert {row["protocol"] for row in csv.DictReader(file)} == {"mnist5k"}
    assert "accuracy under mnist5k" in (directory / "transfer.html").read_text()


@pytest.mark.thorough
def test_one_epoch_is_compared_with_more_and_with_another_seed(run) -> None:
    directory, _ = run
    result = archloop("proxy", directory, "--epochs", 2, "--seed", 1, "--sample", 4)
    assert result.returncode == 0, result.stderr
    with (directory / "proxy.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["epochs"], row["seed"]) for row in rows} == {("1", "0"), ("2", "0"), ("1", "1")}
    base = {row["candidate"]: row["accuracy"] for row in rows if (row["epochs"], row["seed"]) == ("1", "0")}
    recorded_accuracies = {name: str(values[2]) for name, values in recorded(directory).evaluations.items()}
    assert base == {name: recorded_accuracies[name] for name in base}


@pytest.mark.thorough
def test_a_run_done_again_by_another_secret_is_not_held_to_the_digit(run, tmp_path) -> None:
    directory, _ = run
    settings = {HELDOUT_SETTING: "another secret that nobody has published"}
    arguments = ("run", "--from-manifest", directory / "manifest.json", "--cycles", 1, "--out", tmp_path / "again")
    result = archloop(*arguments, settings=settings)
    assert result.returncode == 0, result.stderr
    assert "within sampling noise only, not to the digit" in result.stderr
    assert "equal in all 5 candidates of the first cycle; scored on other held-out images" in result.stderr
    then, now = recorded(directory), recorded(tmp_path / "again")
    assert set(now.codes.values()) <= set(then.codes.values())
    assert json.loads((tmp_path / "again/manifest.json").read_text())["heldout_id"] != HELDOUT.id


@pytest.mark.thorough
def test_a_run_that_goes_on_by_another_secret_says_so(run, tmp_path) -> None:
    directory, _ = run
    shutil.copytree(directory, tmp_path / "moved")
    assert json.loads((directory / "manifest.json").read_text())["heldout_id"] == HELDOUT.id
    result = archloop("resume", tmp_path / "moved", settings={HELDOUT_SETTING: "x" * 32})
    assert result.returncode == 0, result.stderr
    assert f"other held-out images than then, by the secret {HELDOUT.id}" in result.stderr
