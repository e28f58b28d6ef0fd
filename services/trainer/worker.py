"""One of the processes that share a training, or the only one on a GPU: started for one job, and gone with it.

All of them train; the first alone reports, saves and probes. A failure is reported by the process that has it, before
the others notice.
"""

import os
import sys
from pathlib import Path

import torch
from accelerate import PartialState

from archloop.gpus import GpuLost
from archloop.ops.process import die_with_parent
from services.trainer import plan, tuning
from services.trainer.child import Emit, attempt, emitter, quiet, take_stdout
from services.trainer.job import Failed, Job, Ready, Tuned


def main(job_file: str, threads: int, *, cpu: bool) -> int:
    """Train, and return the exit code."""
    die_with_parent()
    quiet()
    emit = emitter(take_stdout())
    torch.set_num_threads(threads)
    machine = plan.CPU if cpu else plan.machine()
    rank = PartialState(cpu=cpu).process_index
    if lost := _lost(machine, cpu=cpu):
        emit(lost)
        return 1
    job = Job.model_validate_json(Path(job_file).read_text())
    done = attempt(lambda: _first(job, machine, emit) if rank == 0 else _other(job, machine, rank))
    if done is not None:
        emit(done)
    return int(isinstance(done, Failed))


def _lost(machine: plan.Machine, *, cpu: bool) -> Failed | None:
    """Return the failure of a job for GPUs where CUDA finds none: they are there again later, or they never were."""
    if cpu or machine.gpus:
        return None
    return Failed(code=GpuLost.code, retryable=True, detail="CUDA finds no GPU, and this trainer was given one")


def _first(job: Job, machine: plan.Machine, emit: Emit) -> Tuned:
    emit(Ready())
    return tuning.tune(job, None, emit, machine)


def _other(job: Job, machine: plan.Machine, rank: int) -> None:
    tuning.train(job, None, lambda _: None, machine, rank)


if __name__ == "__main__":
    status = main(sys.argv[1], int(sys.argv[2]), cpu="--cpu" in sys.argv[3:])
    sys.stderr.flush()
    os._exit(status)  # a failed process must not wait for the others, which wait for it
