import asyncio

import psutil
import pytest
import pytest_asyncio
import torch

from archloop.adapters import ADAPTER_FILES
from services.trainer.child import attempt
from services.trainer.job import Job, TrainingInterrupted, TrainingRefused
from services.trainer.process import ProcessTuner
from services.trainer.settings import TrainerSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tuner(base_model):
    async with ProcessTuner(TrainerSettings(base_model=base_model, threads=1)) as tuner:
        yield tuner


@pytest.fixture
def job(tmp_path, base_model, pairs, spec):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(pair.model_dump_json() + "\n" for pair in pairs))
    return Job(base_model=base_model, pairs=path, out=tmp_path / "adapter", training=spec, seed=7)


@pytest.fixture
def endless(job, spec):
    return job.model_copy(update={"training": spec.model_copy(update={"epochs": 10_000})})


async def _forks(tuner: ProcessTuner, wanted: bool) -> list[psutil.Process]:
    """Those of the warm process, once there are any, or none."""
    while True:
        await asyncio.sleep(0.02)
        forks = psutil.Process(tuner._process.pid).children() if tuner._process else []
        if bool(forks) is wanted:
            return forks


async def _begun(tuner: ProcessTuner, job: Job) -> tuple[asyncio.Task, psutil.Process]:
    """The job in hand, and the process that runs it: not the last job's, which may take its time to end."""
    await _forks(tuner, wanted=False)
    task = asyncio.create_task(tuner.tune(job))
    return task, (await _forks(tuner, wanted=True))[0]


async def _until_gone(process: psutil.Process) -> None:
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        await asyncio.sleep(0.02)


async def test_a_job_leaves_its_files_and_its_result(tuner, job, pairs):
    tuned = await tuner.tune(job)
    assert tuned.pair_count == len(pairs)
    assert all((job.out / name).is_file() for name in ADAPTER_FILES)


async def test_a_second_job_of_the_warm_process_leaves_the_same_bytes(tuner, job, tmp_path):
    again = job.model_copy(update={"out": tmp_path / "again"})
    await tuner.tune(job)
    await tuner.tune(again)
    assert [(job.out / f).read_bytes() for f in ADAPTER_FILES] == [(again.out / f).read_bytes() for f in ADAPTER_FILES]


async def test_a_job_that_is_killed_may_be_retried_and_the_next_job_works(tuner, job, endless):
    task, fork = await _begun(tuner, endless)
    fork.kill()
    with pytest.raises(TrainingInterrupted, match="killed by signal 9") as caught:
        await task
    assert caught.value.retryable
    assert (await tuner.tune(job)).loss_curve


async def test_a_warm_process_that_is_killed_is_replaced(tuner, job, endless):
    task, fork = await _begun(tuner, endless)
    psutil.Process(tuner._process.pid).kill()
    with pytest.raises(TrainingInterrupted, match="gone"):
        await task
    await _until_gone(fork)
    assert (await tuner.tune(job)).loss_curve


async def test_cancelling_ends_the_job_and_its_processes(tuner, job, endless):
    task, fork = await _begun(tuner, endless)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _until_gone(fork)
    assert (await tuner.tune(job)).loss_curve


async def test_settings_that_cannot_work_are_refused_for_good(tuner, job, spec):
    with pytest.raises(TrainingRefused, match=r"training\.max_length: 8") as caught:
        await tuner.tune(job.model_copy(update={"training": spec.model_copy(update={"max_length": 8})}))
    assert not caught.value.retryable


async def test_a_base_model_that_cannot_be_loaded_may_be_retried_and_is_named(tuner, job, tmp_path):
    with pytest.raises(TrainingInterrupted, match=r"base model '.*nowhere' cannot be loaded"):
        await tuner.tune(job.model_copy(update={"base_model": str(tmp_path / "nowhere")}))


async def test_a_job_over_its_deadline_is_refused(base_model, endless):
    async with ProcessTuner(TrainerSettings(base_model=base_model, threads=1, timeout_s=0.2)) as tuner:
        with pytest.raises(TrainingRefused, match=r"longer than timeout_s = 0\.2"):
            await tuner.tune(endless)


async def test_nothing_is_started_early_where_no_job_may_come(base_model):
    async with ProcessTuner(TrainerSettings(base_model=base_model), early=False) as tuner:
        assert tuner._process is None


async def test_a_closed_tuner_takes_no_job(base_model, job):
    tuner = ProcessTuner(TrainerSettings(base_model=base_model))
    await tuner.close()
    with pytest.raises(TrainingInterrupted, match="shutting down"):
        await tuner.tune(job)


def _exhaust_the_memory():
    torch.empty(2**60)


def _raise_memory_error():
    raise MemoryError


@pytest.mark.parametrize("work", [_exhaust_the_memory, _raise_memory_error])
async def test_out_of_memory_is_permanent_and_says_what_to_lower(work):
    failed = attempt(work)
    assert (failed.code, failed.retryable) == ("out_of_memory", False)
    assert "batch_size" in failed.detail


async def test_an_unforeseen_error_is_reported_with_its_place():
    failed = attempt(lambda: 1 / 0)
    assert (failed.code, failed.retryable) == ("ZeroDivisionError", True)
    assert __file__.rpartition("/")[2] in failed.detail
