"""What a training of hours needs: checkpoints, less at once after out of memory, several processes."""

import asyncio
import sys
from pathlib import Path

import psutil
import pytest
from safetensors.torch import load_file

from archloop.adapters import WEIGHTS_FILE
from archloop.contracts.training import TrainingSpec
from services.trainer import checkpoints, distributed, tuning
from services.trainer.child import attempt
from services.trainer.handlers import TrainerHandler
from services.trainer.job import Failed, Job, TrainingInterrupted, TrainingRefused
from services.trainer.process import ProcessTuner
from services.trainer.settings import TrainerSettings


@pytest.fixture
def long_spec(spec) -> TrainingSpec:
    return spec.model_copy(update={"engine": "trl", "epochs": 12, "dropout": 0.1})


@pytest.fixture
def job(tmp_path, base_model, pairs, long_spec) -> Job:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(pair.model_dump_json() + "\n" for pair in pairs))
    return Job(base_model=base_model, pairs=path, out=tmp_path / "adapter", training=long_spec, seed=7)


async def _checkpoint(folder: Path) -> Path:
    while (latest := checkpoints.latest(folder)) is None:
        await asyncio.sleep(0.005)
    return latest


async def _kill_the_fork(tuner: ProcessTuner) -> None:
    for fork in psutil.Process(tuner._process.pid).children():
        fork.kill()


async def test_a_training_killed_midway_goes_on_from_its_last_checkpoint(job, base_model, tmp_path):
    settings = TrainerSettings(base_model=base_model, threads=1, checkpoint_steps=5)
    safe = job.model_copy(update={"checkpoints": tmp_path / "checkpoints"})
    async with ProcessTuner(settings) as tuner:
        first = asyncio.create_task(tuner.tune(safe))
        await _checkpoint(safe.checkpoints)
        await _kill_the_fork(tuner)
        with pytest.raises(TrainingInterrupted, match="killed by signal 9"):
            await first
        left = checkpoints.step_of(checkpoints.latest(safe.checkpoints))
        resumed = await tuner.tune(safe)
        whole = await tuner.tune(job.model_copy(update={"out": tmp_path / "whole"}))
    assert 5 <= left < whole.steps == 36
    assert (resumed.resumed, resumed.steps, whole.resumed) == (left, whole.steps, 0)
    assert resumed.token_curve == whole.token_curve
    assert resumed.loss_curve == pytest.approx(whole.loss_curve, rel=1e-5)
    assert resumed.probe == whole.probe


async def test_what_was_cut_off_while_it_was_written_is_no_checkpoint(tmp_path):
    for step, names in ((5, ("adapter_model.safetensors", "optimizer.pt", "scheduler.pt")), (10, ())):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for name in names:
            (folder / name).touch()
    assert checkpoints.latest(tmp_path) is None
    (tmp_path / "checkpoint-5" / "trainer_state.json").write_text("{}")
    (tmp_path / "checkpoint-10" / "trainer_state.json").write_text('{"global_st')
    assert checkpoints.step_of(checkpoints.latest(tmp_path)) == 5


async def test_a_job_that_differs_in_anything_has_checkpoints_of_its_own(request_for, blobs, tmp_path, long_spec):
    other = await blobs.put("pairs/other.jsonl", b'{"prompt": "p", "completion": "c"}\n')
    plain = await request_for(training=long_spec)
    changed = [{"seed": 8}, {"pairs": other}, {"training": long_spec.model_copy(update={"learning_rate": 0.1})}]
    messages = [plain, *(plain.model_copy(update=change) for change in changed)]
    jobs = [(message, checkpoints.job_sha256(message, "a" * 64)) for message in messages]
    jobs.append((plain, checkpoints.job_sha256(plain, "b" * 64)))
    folders = [checkpoints.folder(tmp_path, message, job) for message, job in jobs]
    assert len(set(folders)) == len(folders)
    assert checkpoints.folder(tmp_path, *jobs[0]) == folders[0]
    assert folders[0].stat().st_mode & 0o777 == 0o700


async def test_only_what_can_go_on_has_checkpoints(request_for, tmp_path, long_spec, spec):
    assert checkpoints.folder(None, await request_for(training=long_spec), "a" * 64) is None
    assert checkpoints.folder(tmp_path, await request_for(training=spec), "a" * 64) is None


async def test_checkpoints_are_gone_once_the_adapter_is_published(request_for, blobs, tmp_path, long_spec):
    class Inline:
        async def tune(self, job):
            job = job.model_copy(update={"checkpoint_steps": 5})
            tuned = tuning.tune(job, None, lambda _: None)
            assert checkpoints.latest(job.checkpoints)
            return tuned

    (tmp_path / "work").mkdir()
    handler = TrainerHandler(blobs, Inline(), tmp_path / "work")
    (trained,) = await handler.handle(await request_for(training=long_spec))
    assert list((tmp_path / "work" / "checkpoints").iterdir()) == []
    assert (trained.steps, len(trained.token_curve)) == (36, 36)
    assert trained.tokens_per_second > 0


@pytest.mark.parametrize("engine", ["lean", "trl"])
async def test_out_of_memory_halves_what_is_taken_at_once_and_comes_to_the_same(
    job, base_model, monkeypatch, engine, tmp_path
):
    plain = job.training.model_copy(update={"engine": engine, "dropout": 0.0, "batch_size": 8, "epochs": 3})
    job = job.model_copy(update={"training": plain})
    script = [sys.executable, str(Path(__file__).with_name("short_of_memory.py"))]
    monkeypatch.setattr(distributed, "warm_command", lambda s: [*script, s.base_model, str(s.threads)])
    async with ProcessTuner(TrainerSettings(base_model=base_model, threads=1)) as tuner:
        tuned = await tuner.tune(job)
    roomy = tuning.tune(job.model_copy(update={"out": tmp_path / "roomy"}), None, lambda _: None)
    assert (tuned.shape.batch_size, tuned.shape.accumulation) == (2, 4)
    assert (roomy.shape.batch_size, roomy.shape.accumulation) == (8, 1)
    assert tuned.loss_curve == pytest.approx(roomy.loss_curve, rel=1e-2)
    assert tuned.token_curve == roomy.token_curve


async def test_four_bits_without_a_gpu_are_refused_before_anything_is_loaded(job, tmp_path):
    job = job.model_copy(
        update={
            "base_model": str(tmp_path / "nowhere"),
            "training": job.training.model_copy(update={"quantization": "nf4"}),
        }
    )
    with pytest.raises(TrainingRefused, match="nf4 needs a CUDA GPU"):
        await ProcessTuner(TrainerSettings()).tune(job)
    failed = attempt(lambda: tuning.tune(job, None, lambda _: None))
    assert isinstance(failed, Failed)
    assert "nf4 needs a CUDA GPU" in failed.detail


@pytest.mark.slow
async def test_two_processes_train_what_one_trains(job, base_model, tmp_path):
    plain = job.training.model_copy(update={"dropout": 0.0, "epochs": 3})
    job = job.model_copy(update={"training": plain})
    async with ProcessTuner(TrainerSettings(base_model=base_model, threads=1, processes=2)) as tuner:
        spread = await tuner.tune(job)
    alone = tuning.tune(job.model_copy(update={"out": tmp_path / "alone"}), None, lambda _: None)
    assert (spread.shape.batch_size, spread.shape.processes) == (2, 2)
    assert spread.steps == alone.steps
    assert spread.loss_curve[0] == pytest.approx(alone.loss_curve[0], rel=1e-3)
    assert spread.loss_curve == pytest.approx(alone.loss_curve, rel=1e-2)
    assert spread.token_curve == alone.token_curve
    assert sum(t.abs().sum() for name, t in load_file(job.out / WEIGHTS_FILE).items() if "lora_B" in name) > 0


@pytest.mark.slow
async def test_a_failure_of_spread_processes_is_told_by_name(job, base_model):
    plain = job.training.model_copy(update={"max_length": 8})
    async with ProcessTuner(TrainerSettings(base_model=base_model, threads=1, processes=2)) as tuner:
        with pytest.raises(TrainingRefused, match=r"training\.max_length: 8"):
            await tuner.tune(job.model_copy(update={"training": plain}))
