"""What a plan says before anything is started."""

from pathlib import Path

import pytest

from archloop import presets, protocols
from archloop_cli import estimate, planning


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which nothing was fetched or prepared."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("ARCHLOOP_EVALUATOR_DATA_DIR", str(tmp_path / "data"))


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("preset", "data"), [("paper", "cifar10"), ("paper-cifar100", "cifar100"), ("paper-svhn", "svhn")]
)
def test_all_that_the_paper_needs_and_is_not_there_is_said_with_the_way_to_get_it(preset: str, data: str) -> None:
    found = {missing.what: missing.how for missing in planning.plan(presets.load(preset), None).missing}
    assert f"hf download {presets.load(preset).base_model}" in found[f"base model {presets.load(preset).base_model}"]
    assert f"archloop data prepare {data}" in found[f"data set {data}"]
    assert "--pairs" in found["pairs to begin with"]
    if not Path("/dev/nvidia0").exists():
        assert "--server" in found["GPU"]


@pytest.mark.usefixtures("bare")
def test_the_demo_lacks_nothing() -> None:
    made = planning.plan(presets.load("demo"), None)
    assert made.missing == []
    assert planning.show(made) == 0


def test_pairs_that_are_given_are_counted_and_not_missing(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"prompt": "a", "completion": "b"}\n' * 7)
    made = planning.plan(presets.load("paper"), file)
    assert ("bootstrap", "tunes on 7 pairs first, replayed in every cycle") in made.steps
    assert not any("pairs" in missing.what for missing in made.missing)


def test_more_of_everything_takes_longer() -> None:
    spec, protocol = presets.load("paper"), protocols.load("paper-cifar10")
    once = estimate.of(spec, protocol, 1_700)
    twice = estimate.of(spec.model_copy(update={"candidates": 300}), protocol, 1_700)
    assert twice.evaluate_hours == pytest.approx(2 * once.evaluate_hours)
    assert twice.tokens == 2 * once.tokens
    assert estimate.of(spec, protocol, 3_400).train_hours > 1.8 * once.train_hours
    assert estimate.of(spec.model_copy(update={"frozen": True}), protocol, 1_700).train_hours == 0
    small = protocol.model_copy(update={"resize": 128})
    assert estimate.epoch_seconds(small) == pytest.approx(estimate.epoch_seconds(protocol) / 4)


@pytest.mark.parametrize(
    ("name", "size"), [("x/coder-7b-v1.5", 7e9), ("Qwen2.5-Coder-1.5B-Instruct", 1.5e9), ("tiny", 0)]
)
def test_the_size_of_a_model_is_read_from_its_name(name: str, size: float) -> None:
    assert estimate.parameters(name) == size
