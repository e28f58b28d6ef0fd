"""The warm training process: it forks for every job, so that no job waits for imports or leaves a trace.

Jobs come as JSON lines on stdin, reports go as JSON lines to the original stdout; everything that libraries print goes
to stderr. Nothing runs in parallel before the fork, because OpenMP's threads do not survive one.
"""

import os
import sys
import traceback
from collections.abc import Callable
from functools import partial

from archloop.errors import ArchloopError
from archloop.ops.process import die_with_parent, loading

with loading():
    import torch

    from services.trainer import plan, tuning
    from services.trainer.child import Emit, attempt, emitter, quiet, take_stdout
    from services.trainer.job import Failed, Job, Ready, Tuned
    from services.trainer.plan import Machine, Precision


def main(base_model: str, threads: int, precision: Precision = "auto") -> None:
    """Load libraries and base model, report Ready, and serve until stdin ends; 0 threads are as the model wants."""
    die_with_parent()
    quiet()
    emit = emitter(take_stdout())
    torch.set_num_threads(1)
    machine = plan.cpu(precision)
    bases = _preloaded(base_model, machine)
    emit(Ready())
    for line in sys.stdin:
        job = Job.model_validate_json(line)
        _forked(partial(_work, job, bases.get(job.base_model), threads, emit, machine), emit)


def _preloaded(base_model: str, machine: Machine) -> dict[str, tuning.Base]:
    """Load the base model; empty where it cannot be loaded now, as the first job that needs it will say why."""
    try:
        return {base_model: tuning.load(base_model, machine=machine)}
    except ArchloopError:
        traceback.print_exc()
        return {}


def _work(job: Job, base: tuning.Base | None, threads: int, emit: Emit, machine: Machine) -> Tuned:
    base = tuning.fitting(job, base, machine)
    torch.set_num_threads(plan.threads(threads, base.model.num_parameters()))
    return tuning.tune(job, base, emit, machine)


def _forked(work: Callable[[], Tuned], emit: Emit) -> None:
    """Run `work` in a fork; whatever becomes of it, exactly one last report is emitted."""
    if (pid := os.fork()) == 0:
        status = 1
        try:
            die_with_parent()
            emit(attempt(work))
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0:
        ended = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        emit(Failed(code="training_interrupted", retryable=True, detail=f"the training process {ended}"))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])  # type: ignore[arg-type]
