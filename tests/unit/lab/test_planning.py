"""What a plan says before anything is started."""

from pathlib import Path

import pytest

from archloop import presets, protocols
from archloop.contracts.spec import GenerationSpec
from archloop_cli import asking
from archloop_lab import estimate, estimate_cpu, planning

DEMO = presets.load("demo")


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
    assert asking.show_plan(made) == 0


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
    frozen = spec.model_copy(update={"frozen": True})
    assert 0 < estimate.of(frozen, protocol, 1_700).train_hours < once.train_hours / 10
    assert estimate.of(frozen, protocol, 0).train_hours == 0
    small = protocol.model_copy(update={"resize": 128})
    assert estimate.epoch_seconds(small) == pytest.approx(estimate.epoch_seconds(protocol) / 4)


@pytest.mark.parametrize(
    ("name", "size"), [("x/coder-7b-v1.5", 7e9), ("Qwen2.5-Coder-1.5B-Instruct", 1.5e9), ("tiny", 0)]
)
def test_the_size_of_a_model_is_read_from_its_name(name: str, size: float) -> None:
    assert estimate.parameters(name) == size


def reckoned(slots: int = 2, protocol: str = "shapes", pairs: int = 0, **changes: object) -> estimate_cpu.CpuEstimate:
    spec = presets.checked(presets.load("demo").model_dump() | {"protocol": protocol} | changes, source="here")
    return estimate_cpu.of(spec, protocols.load(protocol), pairs, slots)


def test_the_demo_is_reckoned_as_it_was_measured() -> None:
    """258 to 323 s, and 51 thousand tokens, on two cores."""
    assert 258 / 1.5 < reckoned().seconds < 323 * 1.5
    assert reckoned().tokens == pytest.approx(51_000, rel=0.2)


@pytest.mark.parametrize(
    ("more", "factor"),
    [
        ({"candidates": 640}, 10),
        ({"candidates": 64_000}, 1000),
        ({"cycles": 50}, 10),
        ({"cycles": 5_000}, 1000),
        ({"cycles": 500, "candidates": 640}, 1000),
    ],
)
def test_time_grows_with_cycles_and_candidates(more: dict[str, int], factor: float) -> None:
    assert reckoned(**more).evaluate_s == pytest.approx(factor * reckoned().evaluate_s)
    assert reckoned(**more).generate_s == pytest.approx(factor * reckoned().generate_s)
    assert reckoned(**more).tokens == factor * reckoned().tokens


@pytest.mark.parametrize(("memory", "tokens"), [("none", 0), ("failures", 64), ("scores", 100), ("all", 256)])
def test_a_memory_is_reckoned_with_and_told(memory: str, tokens: int) -> None:
    generation = {"memory": memory, "memory_tokens": tokens or 999}
    assert reckoned(generation=generation).tokens == reckoned().tokens + DEMO.cycles * DEMO.candidates * tokens
    steps = dict(
        planning.plan(presets.load("demo").model_copy(update={"generation": GenerationSpec(**generation)}), None).steps
    )
    told = f"{memory} of earlier cycles, in at most {tokens} tokens of each prompt"
    assert steps.get("memory") == (told if tokens else None)


@pytest.mark.parametrize(
    ("mode", "share", "told"),
    [("whole", 1.0, None), ("edit", 0.1, "100%"), ("mixed", 0.25, "25%"), ("mixed", 0.0, None)],
)
def test_edits_are_reckoned_with_the_network_that_they_show_and_told(mode: str, share: float, told: str | None) -> None:
    generation = GenerationSpec(mode=mode, edit_share=share, parents="archive")
    spec = presets.load("demo").model_copy(update={"generation": generation})
    more = reckoned(generation={"mode": mode, "edit_share": share}).tokens - reckoned().tokens
    tiny = estimate_cpu.MODELS["tiny"]
    shorter = tiny.answer - round(generation.edited * tiny.edit + (1 - generation.edited) * tiny.answer)
    assert more == DEMO.cycles * DEMO.candidates * (round(generation.edited * tiny.answer) - shorter)
    said = dict(planning.plan(spec, None).steps).get("edits")
    assert said == (f"{told} of the candidates edit an earlier one, drawn from: archive" if told else None)
    guided = spec.model_copy(update={"generation": generation.model_copy(update={"guided": True})})
    also = dict(planning.plan(guided, None).steps).get("edits")
    assert also == (f"{said}, guided by its lines" if said else None)


@pytest.mark.parametrize(("start", "told"), [("llm", None), ("seed-program", "drawn by the seed-program")])
def test_who_writes_the_first_cycle_is_told(start: str, told: str | None) -> None:
    spec = presets.load("demo").model_copy(update={"generation": GenerationSpec(start=start)})
    assert dict(planning.plan(spec, None).steps).get("first cycle") == told


def test_what_the_seed_program_draws_costs_no_tokens() -> None:
    drawn = reckoned(generation={"start": "seed-program"})
    assert drawn.tokens == pytest.approx(reckoned().tokens * (DEMO.cycles - 1) / DEMO.cycles)
    assert drawn.generate_s == pytest.approx(reckoned().generate_s * (DEMO.cycles - 1) / DEMO.cycles)
    assert drawn.evaluate_s == reckoned().evaluate_s


def test_time_falls_with_slots_up_to_the_candidates_of_a_cycle() -> None:
    assert reckoned(slots=8).evaluate_s == pytest.approx(reckoned(slots=2).evaluate_s / 4)
    assert reckoned(slots=64).evaluate_s == reckoned(slots=4096).evaluate_s


@pytest.mark.parametrize(
    ("slow", "fast"),
    [("shapes", "digits"), ("cifar10", "shapes"), ("mnist5k", "digits"), ("shapes32", "digits"), ("svhn", "shapes32")],
)
def test_time_grows_with_images_and_their_sizes(slow: str, fast: str) -> None:
    assert reckoned(protocol=slow).seconds > 1.2 * reckoned(protocol=fast).seconds


def test_no_candidate_is_reckoned_beyond_its_limit() -> None:
    assert estimate_cpu.epoch_seconds(protocols.load("paper-cifar10")) == 6000


def test_a_frozen_run_trains_on_what_it_begins_with_alone_and_a_gate_writes_more() -> None:
    begins = reckoned(pairs=100).train_s - reckoned().train_s
    assert reckoned(frozen=True).train_s == 0 < begins
    assert reckoned(frozen=True, pairs=100).train_s == pytest.approx(begins)
    assert reckoned(gate={"candidates": 64}).tokens > 2 * reckoned().tokens


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "min without"),
        ({"cycles": 1, "candidates": 4, "frozen": True}, " s without"),
        ({"cycles": 600}, " h without"),
        ({"cycles": 10_000, "candidates": 300}, "days without"),
        ({"cycles": 10_000, "candidates": 100_000}, "years without"),
    ],
)
def test_the_time_is_said_in_a_unit_that_fits(changes: dict[str, object], words: str) -> None:
    spec = presets.checked(presets.load("demo").model_dump() | changes, source="here")
    assert words in dict(planning.plan(spec, None).costs)["time"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "1 s"), (119, "119 s"), (121, "2 min"), (7199, "120 min"), (7201, "2 h"), (200_000, "2 days"), (4e12, "126,")],
)
def test_durations(seconds: float, words: str) -> None:
    assert estimate_cpu.shown(seconds).startswith(words)
