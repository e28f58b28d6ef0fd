"""The service's side of the training process: start it early, give it jobs, end it for good."""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from typing import Self

import structlog
from typing_extensions import override

from archloop import gpus
from services.trainer import distributed, plan, shares
from services.trainer.backoff import backing_off
from services.trainer.job import (
    REPORTS,
    Failed,
    Job,
    Progress,
    Ready,
    TrainingInterrupted,
    TrainingRefused,
    Tuned,
    Tuner,
)
from services.trainer.metrics import Meter
from services.trainer.settings import TrainerSettings

log = structlog.get_logger(__name__)
_LINE_LIMIT = 2**20
_ENOUGH = 0.9  # of the memory that was promised: a server beside may have taken a little more than its own


class ProcessTuner(Tuner):
    """Tuner with one training process, for one job at a time; a dead or stopped process is replaced.

    On the CPU it is kept warm. On GPUs, and where a job is spread, every job gets processes of its own.
    """

    def __init__(self, settings: TrainerSettings, *, early: bool = True) -> None:
        """`early`: start the process before there is a job."""
        self._settings, self._early = settings, early
        self._lock = asyncio.Lock()
        self._process: Process | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        """Start to warm up, so that the first job waits less; not where the base model may be on GPUs."""
        if self._early and distributed.processes(self._settings) == 1 and not self._settings.gpus:
            await self._running()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Kill the process, and with it a running job; accept no more jobs."""
        self._closed = True
        await self._stop()

    @override
    async def tune(self, job: Job) -> Tuned:
        own = distributed.has_own_processes(job, self._settings)
        shape = shares.among(job.training, distributed.processes(self._settings) if own else 1)
        if not self._settings.gpus:
            plan.check(job.training, plan.CPU)
        elif own:
            await asyncio.to_thread(_check_room, self._settings)
        job = job.model_copy(update={"shape": shape, "checkpoint_steps": self._settings.checkpoint_steps})
        async with self._lock:
            try:
                async with asyncio.timeout(self._settings.timeout_s):
                    report = await backing_off(job, self._in_own_processes if own else self._warm)
            except TimeoutError as error:
                await self._stop()
                raise TrainingRefused(f"training took longer than timeout_s = {self._settings.timeout_s:g}") from error
            except BaseException:
                await self._stop()
                raise
        return _result(report)

    async def _warm(self, job: Job) -> Tuned | Failed:
        process = await self._running()
        assert process.stdin is not None
        process.stdin.write(job.model_dump_json().encode() + b"\n")
        return await _followed(process)

    async def _in_own_processes(self, job: Job) -> Tuned | Failed:
        """Run the job in processes of its own, after stopping the last one and freeing its memory."""
        await self._stop()
        path = job.out.with_suffix(".job.json")
        path.write_text(job.model_dump_json())
        try:
            return await _followed(await self._running(distributed.launch_command(path, self._settings)))
        finally:
            await self._stop()

    async def _running(self, command: Sequence[str] | None = None) -> Process:
        if self._closed:
            raise TrainingInterrupted("the trainer is shutting down")
        if self._process is None or self._process.returncode is not None:
            self._process = await _start(command or distributed.warm_command(self._settings))
        return self._process

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _start(command: Sequence[str]) -> Process:
    """Start a process in a session of its own, so that it and those it starts are killed as one."""
    return await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, limit=_LINE_LIMIT, start_new_session=True
    )


async def _followed(process: Process) -> Tuned | Failed:
    """Return the last report of the process. Raises TrainingInterrupted where it ends without one."""
    assert process.stdout is not None
    meter = Meter()
    async for line in process.stdout:
        match REPORTS.validate_json(line):
            case Ready():
                log.debug("training process is ready")
            case Progress() as progress:
                meter.take(progress)
                log.debug("training", **progress.model_dump(exclude={"kind"}))
            case last:
                return last
    raise TrainingInterrupted(f"the training process is gone (status {await process.wait()})")


def _check_room(settings: TrainerSettings) -> None:
    """Look whether the GPU is there and has the memory that the job was promised. Raises GpuLost."""
    if settings.gpu_memory_gb:
        gpu = gpus.state(settings.visible.split(",")[0] or "0")
        gpu.require(_ENOUGH * settings.gpu_memory_gb, "the trainer")


def _result(report: Tuned | Failed) -> Tuned:
    if isinstance(report, Tuned):
        return report
    kind = TrainingInterrupted if report.retryable else TrainingRefused
    raise kind(f"{report.code}: {report.detail}")
