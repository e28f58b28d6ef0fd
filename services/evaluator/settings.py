"""Settings of the evaluator, from `ARCHLOOP_EVALUATOR_…`."""

import os
from typing import Annotated, ClassVar

from pydantic import Field, SecretStr

from archloop.contracts.values import SandboxLevel
from archloop.ops.settings import ServiceSettings, WebAddress, config


def _cores() -> int:
    return len(os.sched_getaffinity(0))


class EvaluatorSettings(ServiceSettings):
    """`slots` candidates at a time, each on `threads` threads, confined at `required_level` or the service refuses.

    Accuracy differs slightly with the number of threads: keep it the same for results that are to be compared.
    As a process of its own it reads code and earlier results from the registry at `registry_url`, with a token that
    allows no more than that.
    """

    service: ClassVar[str] = "evaluator"
    own_port: ClassVar[int] = 8002
    model_config = config("evaluator")

    slots: Annotated[int, Field(ge=1)] = Field(default_factory=_cores)
    threads: Annotated[int, Field(ge=1)] = 1
    required_level: SandboxLevel = SandboxLevel.NAMESPACES
    registry_url: WebAddress | None = None
    registry_token: SecretStr | None = None
