"""What a run needs, read from its model's files, its protocol and its spec; and what the user may ask for."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from archloop import gpus, presets, protocols
from archloop.errors import InvalidInput, Unavailable
from archloop.gpus import Gpu, GpuLost
from archloop_cli import asking, doctor
from archloop_lab import estimate, needs, planning
from archloop_lab.needs import Machine, Needs, Software, Wanted


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of 600 parameters in two files, whose name tells nothing."""
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"a": np.zeros((10, 20), np.float32), "b": np.zeros(100, np.float16)}, folder / "one.safetensors")
    save_file({"c": np.zeros((3, 10, 10), np.float16)}, folder / "two.safetensors", metadata={"format": "pt"})
    return folder


def test_parameters_are_counted_in_the_files(model: Path) -> None:
    assert estimate.parameters_of(str(model)) == 600
    assert estimate.parameters_of("tiny") == pytest.approx(1e6, rel=0.1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 8,
        b"\xff" * 8 + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (9).to_bytes(8, "little") + b'{"a": {}}',
        (4).to_bytes(8, "little") + b"null",
        (15).to_bytes(8, "little") + b'{"a": [1, 2, 3]}',
    ],
)
def test_a_file_that_is_no_model_counts_for_nothing(model: Path, content: bytes) -> None:
    (model / "three.safetensors").write_bytes(content)
    assert estimate.parameters_of(str(model)) == 600


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("org/Coder-350M", 350e6),
        ("org/SmolLM2-1.7B-Instruct", 1.7e9),
        ("smollm2", 135e6),
        ("org/some-14b-chat", 14e9),
        ("org/nothing-said", 0),
        ("org/v2beta", 0),
    ],
)
def test_the_name_tells_where_the_files_are_not_here(name: str, size: float) -> None:
    assert estimate.parameters(name) == size


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        ('{"max_position_embeddings": 4096}', 4096),
        ("{}", None),
        ('{"max_position_embeddings": null}', None),
        ("[]", None),
        ("not JSON", None),
    ],
)
def test_how_long_a_text_may_be_is_read_from_the_config(model: Path, config: str, tokens: int | None) -> None:
    (model / "config.json").write_text(config)
    assert estimate.positions(str(model)) == tokens
    assert estimate.positions("org/not-here") is None


@pytest.mark.parametrize(
    ("file", "content", "chat"),
    [
        ("chat_template.jinja", "{{ messages }}", True),
        ("chat_template.json", "{}", True),
        ("tokenizer_config.json", json.dumps({"chat_template": "x"}), True),
        ("tokenizer_config.json", "{}", False),
        ("other.json", '"chat_template"', False),
    ],
)
def test_a_model_with_turns_is_told_by_its_files(model: Path, file: str, content: str, chat: bool) -> None:
    (model / file).write_text(content)
    assert needs.has_chat_template(str(model)) == chat
    assert needs.has_chat_template("org/not-here")


@pytest.mark.parametrize(
    ("more", "less"),
    [
        ("paper-cifar10", "cifar10"),
        ("cifar10", "shapes"),
        ("paper-svhn", "svhn"),
        ("paper-cifar100", "cifar100"),
        ("cifar10", "digits"),
    ],
)
def test_larger_images_need_more_of_a_gpu(more: str, less: str) -> None:
    assert estimate.slot_gb(protocols.load(more)) > estimate.slot_gb(protocols.load(less)) > estimate.CONTEXT_GB


@pytest.mark.parametrize("weights", [0.1, 0.27, 1, 3, 14, 26, 140])
def test_what_a_size_of_memory_serves_needs_no_more_than_it(weights: float) -> None:
    gb = estimate.serving_gb(weights)
    assert estimate.weights_gb(estimate.largest(gb)) == pytest.approx(weights)
    assert estimate.training_gb(weights, quantised=True) < estimate.training_gb(weights, quantised=False)


@pytest.mark.parametrize(
    ("devices", "backend", "named"),
    [
        ("0", "auto", "--devices"),
        ("cpu", "auto", "--devices"),
        ("auto", "vllm", "--backend"),
        ("1", "cpu", "--devices"),
    ],
)
def test_a_deployment_has_devices_of_its_own(devices: str, backend: str, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        asking.wanted(devices, backend, "http://registry:8000")
    assert asking.wanted(devices, backend, None) == Wanted.of(devices, backend)
    assert asking.wanted("auto", "auto", "http://registry:8000") == Wanted()


TWO = (Gpu(0, "First", 24.0, 23.0, "GPU-0"), Gpu(1, "Second", 24.0, 1.5, "GPU-1"))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """This machine with other GPUs."""

    def install(*there: Gpu) -> None:
        monkeypatch.setattr(gpus, "found", lambda: there)
        monkeypatch.setattr(Software, "here", lambda: Software(vllm=True, bitsandbytes=True))

    return install


def test_a_plan_says_where_the_work_goes(machine) -> None:
    machine(*TWO)
    made = planning.plan(presets.load("paper"), None)
    assert ("by turns", "the model server is stopped while an adapter is trained: there is no room for both") in (
        made.places
    )
    assert dict(made.places)["trainer"].startswith("on GPU 0 (First), 16.2 GB")
    cpu = planning.plan(presets.load("demo"), None, Wanted("cpu"))
    assert dict(cpu.places)["language model"] == "our own server on the CPU"


@pytest.mark.parametrize(
    ("free", "wanted", "words"),
    [
        (10.0, "auto", "18.2 GB"),
        (19.0, "auto", "18.2 GB"),
        (23.0, "5", "--devices"),
        (23.0, "cpu", "nf4"),
        (0.0, "0", "18.2 GB"),
    ],
)
def test_what_does_not_fit_is_missing_in_the_plan(machine, free: float, wanted: str, words: str) -> None:
    machine(Gpu(0, "First", 24.0, free, "GPU-0"))
    found = planning.plan(presets.load("paper"), None, Wanted(wanted)).missing
    assert [words in each.how for each in found if each.what == "room on this machine"] == [True]


def test_doctor_lists_gpus_and_where_presets_would_go(machine, monkeypatch) -> None:
    machine(*TWO)
    found = {finding.name: finding for finding in doctor._gpus()}
    assert found["GPU 1"].detail == "Second, 1.5 of 24.0 GB free"
    assert (found["vllm"].ok, found["tgi"].ok) == (True, False)
    assert {f"preset {name}" for name in presets.names()} <= set(found)
    assert "16.2 GB" in found["preset paper"].detail
    assert not any(finding.needed for finding in found.values())
    machine()
    assert [finding.detail for finding in doctor._gpus()] == ["none: everything runs on the CPU"]

    def lost() -> None:
        raise GpuLost("the driver does not answer")

    monkeypatch.setattr(gpus, "found", lost)
    assert [(finding.ok, finding.detail) for finding in doctor._gpus()] == [(False, "the driver does not answer")]
    with pytest.raises(Unavailable):
        Machine.here()


def test_a_frozen_run_needs_no_trainer_unless_it_begins_with_pairs() -> None:
    frozen = presets.load("paper").model_copy(update={"frozen": True})
    assert Needs.of(frozen, protocols.load("cifar10")).trains
    assert not Needs.of(frozen.model_copy(update={"bootstrap": None}), protocols.load("cifar10")).trains
