"""Settings of the trainer service, read from `ARCHLOOP_TRAINER_…`."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from archloop.contracts.numbers import Seconds
from archloop.ops.settings import S3Settings, config
from services.trainer.plan import Precision


class TrainerSettings(S3Settings):
    """Settings of the trainer, which keeps `base_model` in memory; jobs on other base models load theirs.

    `gpus` is how many GPUs one job gets, each with a process of its own; 0 trains on the CPU, where `processes` share a
    job. Both are for jobs with `engine: trl`, and keep no base model in memory. Such a job leaves a checkpoint after
    every `checkpoint_steps` steps (0: none) if there is a `work_dir`, which holds the files of running jobs: one that
    outlives the process lets a killed training go on.

    `visible` names those GPUs as CUDA_VISIBLE_DEVICES does, all that there are where it is empty. A job waits for its
    retry while the first of them has less than `gpu_memory_gb` (of 10^9 bytes) free, as others use it.

    `threads` null is all cores for models of 50 M parameters or more, and 2 for smaller ones. `precision` is that of
    such a large model while `engine: lean` trains it: `auto` is bfloat16 where the CPU has instructions for it.

    `timeout_s` bounds one job and must stay below the queue's consumer timeout; `grace_s` is what a running job is
    given at shutdown. With `once_within_s` the process ends after one message, or where none came in that time: for
    whoever starts one process for each waiting message.
    """

    service: ClassVar[str] = "trainer"
    own_port: ClassVar[int] = 8004
    model_config = config("trainer")

    base_model: str = "tiny"
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
    precision: Precision = "auto"
    gpus: Annotated[int, Field(ge=0, le=1024)] = 0
    visible: Annotated[str, Field(pattern=r"^[\w,-]*$")] = ""
    gpu_memory_gb: Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)] = 0.0
    processes: Annotated[int, Field(ge=1, le=1024)] = 1
    work_dir: Path | None = None
    checkpoint_steps: Annotated[int, Field(ge=0, le=100_000_000)] = 20
    timeout_s: Seconds = 5 * 3600.0
    grace_s: Annotated[float, Field(ge=0, le=1e8, allow_inf_nan=False)] = 10.0
    once_within_s: Seconds | None = None
