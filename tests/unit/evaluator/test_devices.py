"""What a candidate runs on, read from a kernel that is a directory."""

import pytest
from pydantic import ValidationError

from services.evaluator.devices import Device
from services.evaluator.sandbox import gpu
from services.evaluator.settings import EvaluatorSettings

VERSION = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\nGCC version: 12\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  565.57.01  Release Build\n"
FILES = ["/dev/nvidia0", "/dev/nvidia1", "/dev/nvidia10", "/dev/nvidiactl", "/dev/nvidia-uvm"]


def card(proc, number: int, model: str) -> None:
    folder = proc / "driver/nvidia/gpus" / f"0000:0{number}:00.0"
    folder.mkdir(parents=True)
    (folder / "information").write_text(f"Model: \t\t {model}\nGPU UUID: \t GPU-{number}a\nDevice Minor: \t {number}\n")


def test_a_gpu_goes_by_its_number_or_its_uuid(tmp_path):
    card(tmp_path, 0, "NVIDIA A100-SXM4-40GB")
    card(tmp_path, 1, "NVIDIA H100 PCIe")
    (tmp_path / "driver/nvidia/version").write_text(VERSION)
    assert Device.of_gpu("1", tmp_path) == Device("1", "NVIDIA H100 PCIe", "550.54.14")
    assert Device.of_gpu("GPU-0a", tmp_path).model == "NVIDIA A100-SXM4-40GB"
    assert [Device.of_gpu(one, tmp_path).name for one in ("1", "GPU-0a")] == ["cuda:1", "GPU-0a"]


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


def test_a_child_sees_no_other_gpus_device_file():
    assert gpu.visible("1", FILES) == ["/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm"]
    assert gpu.visible("MIG-3f", FILES) == FILES
