"""Settings of the trainer service."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from archloop.ops.settings import S3Settings, Seconds, config


class TrainerSettings(S3Settings):
    """`base_model` is kept in memory from the start; jobs on other base models load theirs.

    `timeout_s` bounds one job and must stay below the queue's consumer timeout; `grace_s` is what a job in
    hand is given at shutdown; `work_dir` holds files of running jobs only (default: the system's).
    """

    service: ClassVar[str] = "trainer"
    own_port: ClassVar[int] = 8004
    model_config = config("trainer")

    base_model: str = "tiny"
    threads: Annotated[int, Field(ge=1)] = 2
    work_dir: Path | None = None
    timeout_s: Seconds = 5 * 3600.0
    grace_s: Annotated[float, Field(ge=0)] = 10.0
