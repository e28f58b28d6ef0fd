"""Settings of the evaluator, from `ARCHLOOP_EVALUATOR_…`."""

import os
from typing import Annotated, ClassVar

from pydantic import Field

from archloop.contracts.values import SandboxLevel
from archloop.ops.settings import ServiceSettings, config


def _cores() -> int:
    return len(os.sched_getaffinity(0))


class EvaluatorSettings(ServiceSettings):
    """`slots` candidates at a time, each on `threads` threads, confined at `required_level` or the service refuses.

    Accuracy differs slightly with the number of threads: keep it the same for results that are to be compared.
    """

    service: ClassVar[str] = "evaluator"
    model_config = config("evaluator")

    slots: Annotated[int, Field(ge=1)] = Field(default_factory=_cores)
    threads: Annotated[int, Field(ge=1)] = 1
    required_level: SandboxLevel = SandboxLevel.NAMESPACES
