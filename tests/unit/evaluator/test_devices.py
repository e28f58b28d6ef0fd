"""What a candidate runs on, read from a kernel that is a directory."""

import pytest
from pydantic import ValidationError

from services.evaluator.devices import Card, Device, cards
from services.evaluator.sandbox import gpu
from services.evaluator.settings import EvaluatorSettings

VERSION = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\nGCC version: 12\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  565.57.01  Release Build\n"
FILES = ["/dev/nvidia0", "/dev/nvidia1", "/dev/nvidia10", "/dev/nvidiactl", "/dev/nvidia-uvm"]


UUID = "GPU-1f0c2d3e-0000-4000-8000-000000000001"
UNKNOWN = "GPU-????????-????-????-????????????"


def card(root, bus: int, minor: int, *, model="NVIDIA H100 PCIe", uuid="", given=True) -> None:
    """A GPU as the kernel tells of it, and its device file where this process is given it."""
    folder = root / "driver/nvidia/gpus" / f"0000:{bus:02x}:00.0"
    folder.mkdir(parents=True)
    (folder / "information").write_text(f"Model: \t\t {model}\nGPU UUID: \t {uuid}\nDevice Minor: \t {minor}\n")
    (root / "dev").mkdir(exist_ok=True)
    if given:
        (root / f"dev/nvidia{minor}").touch()


def test_a_gpu_goes_by_its_number_or_its_uuid(tmp_path):
    card(tmp_path, 0, 0, model="NVIDIA A100-SXM4-40GB", uuid="GPU-0a")
    card(tmp_path, 1, 1)
    (tmp_path / "driver/nvidia/version").write_text(VERSION)
    dev = tmp_path / "dev"
    assert Device.of_gpu("1", tmp_path, dev) == Device("1", "NVIDIA H100 PCIe", "550.54.14")
    assert Device.of_gpu("GPU-0a", tmp_path, dev).model == "NVIDIA A100-SXM4-40GB"
    assert [Device.of_gpu(one, tmp_path, dev).name for one in ("1", "GPU-0a")] == ["cuda:1", "GPU-0a"]


# Bus, minor, and whether this process is given it; then the minors in the order of CUDA's numbers.
MACHINES = {
    "one": ([(1, 0, True)], [0]),
    "the sixth of eight, in a container": ([(b, b, b == 5) for b in range(8)], [5]),
    "minors against the order of the buses": ([(4, 0, True), (9, 2, True), (1, 1, True)], [1, 0, 2]),
    "two of four": ([(1, 3, True), (2, 2, False), (3, 1, True), (4, 0, False)], [3, 1]),
    "more than ten": ([(b, b, True) for b in range(12)], list(range(12))),
}


@pytest.mark.parametrize(("given", "minors"), MACHINES.values(), ids=MACHINES)
def test_gpus_are_numbered_as_cuda_does(tmp_path, given, minors):
    for bus, minor, visible in given:
        card(tmp_path, bus, minor, given=visible)
    found = cards(tmp_path, tmp_path / "dev")
    assert [one.file for one in found] == [f"{tmp_path}/dev/nvidia{minor}" for minor in minors]


def test_where_the_kernel_tells_nothing_device_files_are_counted(tmp_path):
    for name in ("nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm", "nvidia0"):
        (tmp_path / name).touch()
    assert [one.file.removeprefix(f"{tmp_path}/") for one in cards(tmp_path, tmp_path)] == [
        "nvidia0",
        "nvidia2",
        "nvidia10",
    ]


def test_a_uuid_of_question_marks_is_none(tmp_path):
    card(tmp_path, 1, 0, uuid=UNKNOWN)
    card(tmp_path, 2, 1, uuid=UUID)
    assert [one.uuid for one in cards(tmp_path, tmp_path / "dev")] == ["", UUID]


def test_the_open_driver_tells_its_version_too(tmp_path):
    (tmp_path / "driver/nvidia").mkdir(parents=True)
    (tmp_path / "driver/nvidia/version").write_text(OPEN)
    assert Device.of_gpu("MIG-1", tmp_path) == Device("MIG-1", "", "565.57.01")


def test_a_kernel_that_names_nothing_is_no_error(tmp_path):
    assert Device.of_gpu("0", tmp_path) == Device("0")
    assert Device.cpu(tmp_path) == Device()


def test_the_processor_goes_by_its_model_name(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n")
    assert Device.cpu(tmp_path) == Device(model="Some CPU @ 2 GHz")


def test_each_gpu_is_a_slot_and_the_cpu_has_as_many_as_set():
    assert [d.name for d in EvaluatorSettings(gpus="0,0,MIG-3f").devices()] == ["cuda:0", "cuda:0", "MIG-3f"]
    assert [d.name for d in EvaluatorSettings(slots=3).devices()] == ["cpu"] * 3


@pytest.mark.parametrize("gpus", ["0,", "cuda:0", "GPU", "0;1", "-1"])
def test_another_form_is_refused_by_name(gpus):
    with pytest.raises(ValidationError, match="gpus"):
        EvaluatorSettings(gpus=gpus)


CARDS = [Card("/dev/nvidia1", UUID), Card("/dev/nvidia0"), Card("/dev/nvidia10")]


@pytest.mark.parametrize(
    ("chosen", "own"),
    [("0", "/dev/nvidia1"), ("1", "/dev/nvidia0"), ("2", "/dev/nvidia10"), (UUID, "/dev/nvidia1")],
)
def test_a_child_sees_no_other_gpus_device_file(chosen, own):
    assert gpu.visible(chosen, FILES, CARDS) == [own, "/dev/nvidiactl", "/dev/nvidia-uvm"]


@pytest.mark.parametrize("chosen", ["MIG-3f", "GPU-not-there", "3"])
def test_of_what_is_not_known_a_child_sees_all(chosen):
    assert gpu.visible(chosen, FILES, CARDS) == FILES


@pytest.mark.parametrize(
    ("chosen", "alone", "name"),
    [
        ("0", True, UUID),
        ("0", False, UUID),
        ("1", True, "0"),
        ("1", False, "1"),
        ("2", True, "0"),
        (UUID, True, UUID),
        ("MIG-3f", True, "MIG-3f"),
    ],
)
def test_cuda_is_told_the_gpu_by_what_holds_where_others_are_out_of_reach(chosen, alone, name):
    given = gpu.environment(chosen, CARDS, alone=alone)
    assert (given["CUDA_VISIBLE_DEVICES"], given["CUDA_DEVICE_ORDER"]) == (name, "PCI_BUS_ID")
