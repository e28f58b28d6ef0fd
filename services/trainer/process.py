"""The service's side of the training process: start it early, give it jobs, end it for good."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from typing import Self

import structlog

from services.trainer.errors import TrainingInterrupted, TrainingRefused
from services.trainer.job import REPORTS, Failed, Job, Progress, Ready, Tuned
from services.trainer.settings import TrainerSettings

log = structlog.get_logger(__name__)
_LINE_LIMIT = 2**20


class ProcessTuner:
    """A Tuner with one warm training process, for one job at a time; a dead or stopped process is replaced."""

    def __init__(self, settings: TrainerSettings) -> None:
        self._settings = settings
        self._lock = asyncio.Lock()
        self._process: Process | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        """Begin to warm up; the first job waits for it."""
        await self._running()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Kill the process, and with it a job in hand; take no more."""
        self._closed = True
        await self._stop()

    async def tune(self, job: Job) -> Tuned:
        """See the port. Cancelling it kills the process."""
        async with self._lock:
            process = await self._running()
            try:
                async with asyncio.timeout(self._settings.timeout_s):
                    report = await _run(process, job)
            except TimeoutError as error:
                await self._stop()
                raise TrainingRefused(f"training took longer than timeout_s = {self._settings.timeout_s:g}") from error
            except BaseException:
                await self._stop()
                raise
        return _result(report)

    async def _running(self) -> Process:
        if self._closed:
            raise TrainingInterrupted("the trainer is shutting down")
        if self._process is None or self._process.returncode is not None:
            self._process = await _start(self._settings)
        return self._process

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _start(settings: TrainerSettings) -> Process:
    """A session of its own, so that the process and its forks are killed as one.

    OpenMP's threads wait asleep: where they spin and the cores are shared, training was seen to take 7 times as long.
    """
    python = ("env", "OMP_WAIT_POLICY=passive", sys.executable, "-P", "-m", "services.trainer.child")
    return await asyncio.create_subprocess_exec(
        *python,
        settings.base_model,
        str(settings.threads),
        stdin=PIPE,
        stdout=PIPE,
        limit=_LINE_LIMIT,
        start_new_session=True,
    )


async def _run(process: Process, job: Job) -> Tuned | Failed:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(job.model_dump_json().encode() + b"\n")
    async for line in process.stdout:
        match REPORTS.validate_json(line):
            case Ready():
                log.debug("training process is warm")
            case Progress() as progress:
                log.debug("training", step=progress.step, steps=progress.steps, loss=progress.loss)
            case last:
                return last
    raise TrainingInterrupted(f"the training process is gone (status {await process.wait()})")


def _result(report: Tuned | Failed) -> Tuned:
    if isinstance(report, Tuned):
        return report
    kind = TrainingInterrupted if report.retryable else TrainingRefused
    raise kind(f"{report.code}: {report.detail}")
