"""A trainer's GPU: which one its processes see, and that one which is full or gone is tried again."""

from pathlib import Path

import pytest

from archloop import gpus
from archloop.contracts.training import TrainingSpec
from archloop.gpus import Gpu, GpuLost
from services.trainer import process, worker
from services.trainer.distributed import launch_command
from services.trainer.job import Job
from services.trainer.plan import Machine
from services.trainer.process import ProcessTuner
from services.trainer.settings import TrainerSettings


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        (
            {"gpus": 1, "visible": "GPU-1234-abcd"},
            ["CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=GPU-1234-abcd"],
        ),
        ({"gpus": 1, "visible": "MIG-1"}, ["CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=MIG-1"]),
        ({"gpus": 2, "visible": "0,3"}, ["CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=0,3"]),
        ({"gpus": 1}, ["CUDA_DEVICE_ORDER=PCI_BUS_ID"]),
        ({"gpus": 0}, ["CUDA_VISIBLE_DEVICES="]),
        ({"gpus": 0, "visible": "0"}, ["CUDA_VISIBLE_DEVICES="]),
    ],
)
def test_its_processes_see_the_gpus_that_it_was_given(tmp_path: Path, given: dict, seen: list[str]) -> None:
    command = launch_command(tmp_path / "job.json", TrainerSettings(**given))
    assert [part for part in command if part.startswith("CUDA_")] == seen


@pytest.mark.parametrize("visible", ["0 1", "a;b", "$(x)", "a=b", "0\n"])
def test_a_name_that_is_none_is_refused(visible: str) -> None:
    with pytest.raises(ValueError, match="visible"):
        TrainerSettings(gpus=1, visible=visible)


@pytest.mark.parametrize("free", [None, 0.0, 2.0, 10.0, 14.5])
async def test_a_gpu_that_is_full_or_gone_is_tried_again_before_anything_starts(tmp_path, monkeypatch, free) -> None:
    def state(visible: str) -> Gpu:
        if free is None:
            raise GpuLost("gone")
        return Gpu(1, "G", 24, free, visible)

    monkeypatch.setattr(gpus, "state", state)
    monkeypatch.setattr(process, "_start", lambda _: pytest.fail("nothing may start"))
    settings = TrainerSettings(gpus=1, visible="GPU-1234", gpu_memory_gb=16.2)
    spec = TrainingSpec(engine="trl", quantization="nf4")
    job = Job(base_model="tiny", pairs=tmp_path / "pairs", out=tmp_path / "out", training=spec, seed=0)
    async with ProcessTuner(settings) as tuner:
        with pytest.raises(GpuLost) as lost:
            await tuner.tune(job)
    assert lost.value.retryable


@pytest.mark.parametrize("promised", [0.0, 1.0, 10.0, 16.2, 26.0])
def test_what_is_free_or_was_not_promised_is_no_obstacle(monkeypatch, promised: float) -> None:
    monkeypatch.setattr(gpus, "state", lambda visible: Gpu(0, "G", 24, 23.5, visible))
    process._check_room(TrainerSettings(gpus=1, gpu_memory_gb=promised))


@pytest.mark.parametrize(
    ("machine", "cpu", "lost"),
    [
        (Machine(), False, True),
        (Machine(bitsandbytes=True), False, True),
        (Machine(), True, False),
        (Machine(gpus=1), False, False),
        (Machine(gpus=4, bf16=True), False, False),
    ],
)
def test_a_process_that_finds_no_gpu_of_those_it_was_given_is_retried(machine: Machine, cpu: bool, lost: bool) -> None:
    failed = worker._lost(machine, cpu=cpu)
    assert (failed is not None and failed.retryable) == lost
