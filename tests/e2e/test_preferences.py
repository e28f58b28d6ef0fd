"""Runs that learn from what they reject, with the model that ships, through the command a user types."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from archloop.adapters import ADAPTER_FILES
from archloop.training_pairs import TrainingPair, read
from tests.support import archloop, refusal, small_preset

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# One prompt for all, so that whatever is admitted has four others to be preferred to.
LEARNING = """
generation: {{prompts: 1}}
training: {{method: {method}, learning_rate: 0.001, epochs: 3, batch_size: 4}}
"""
ADAPTER = "small-s5-c0"


class Learnt(NamedTuple):
    """What a run left behind, and what it learnt from after its first cycle."""

    method: str
    directory: Path
    summary: dict[str, Any]
    pairs: list[TrainingPair]

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.directory / f"blobs/adapters/{ADAPTER}/manifest.json").read_text())


@pytest.fixture(scope="module", params=["dpo", pytest.param("negatives", marks=pytest.mark.thorough)])
def learnt(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    folder = tmp_path_factory.mktemp(request.param)
    preset = small_preset(folder)
    preset.write_text(preset.read_text() + LEARNING.format(method=request.param))
    result = archloop("run", "--preset", preset, "--out", folder / "run", "--json")
    assert result.returncode == 0, result.stderr
    (lines,) = folder.glob("run/blobs/runs/*/pairs/c0-*.jsonl")
    return Learnt(request.param, folder / "run", json.loads(result.stdout), read(lines))


def test_an_adapter_of_either_kind_is_published_proven_and_served(learnt: Learnt) -> None:
    assert learnt.summary["status"] == "finished"
    assert [cycle["adapter"] for cycle in learnt.summary["cycles"]] == [None, ADAPTER]
    assert [cycle["generated"] for cycle in learnt.summary["cycles"]] == [5, 5]
    manifest = learnt.manifest
    assert (manifest["method"], manifest["files"].keys()) == (learnt.method, set(ADAPTER_FILES))
    assert manifest["probe"]["logprob"] != manifest["probe"]["base_logprob"]


def test_the_first_loss_of_preferences_is_that_of_a_coin(learnt: Learnt) -> None:
    assert (learnt.manifest["loss_curve"][0] == pytest.approx(0.6931, abs=1e-3)) == (learnt.method == "dpo")


def test_what_is_learnt_from_has_a_rejected_answer(learnt: Learnt) -> None:
    rejected = [pair for pair in learnt.pairs if pair.rejected is not None]
    assert rejected
    assert all(pair.rejected != pair.completion for pair in rejected)
    assert len(rejected) == len(learnt.pairs) or learnt.method == "negatives"


def test_a_run_whose_prompts_are_all_different_is_refused_by_one_line(tmp_path) -> None:
    preset = small_preset(tmp_path)
    preset.write_text(preset.read_text() + "training: {method: dpo}\n")
    assert "generation.answers" in refusal("run", "--preset", preset, "--out", tmp_path / "run")
