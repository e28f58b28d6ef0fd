"""Settings of the evaluator, from `ARCHLOOP_EVALUATOR_…`."""

import contextlib
import os
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, SecretStr

from archloop.contracts.numbers import Seconds
from archloop.contracts.values import SandboxLevel
from archloop.errors import InvalidInput, Misconfigured
from archloop.ops.settings import ServiceSettings, WebAddress, config
from services.evaluator.devices import Device
from services.evaluator.secret import SHORTEST, Secret

_GPU = r"(\d+|(GPU|MIG)-[0-9a-fA-F-]+)"
_GPUS = rf"^({_GPU}(,{_GPU})*)?$"
_PLACE = r"([\w.-]+|\[[0-9a-fA-F:.]+\]):\d{1,5}"
_PLACES = rf"^({_PLACE}(,{_PLACE})*)?$"


def _long_enough(given: SecretStr) -> SecretStr:
    if (length := len(given.get_secret_value())) < SHORTEST:
        raise ValueError(f"{length} characters, must be at least {SHORTEST}, drawn at random")
    return given


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _expanded(path: Path) -> Path:
    """Expand `~`, and leave it where the user has no home directory; nothing will be found there."""
    with contextlib.suppress(RuntimeError):
        return path.expanduser()
    return path


class EvaluatorSettings(ServiceSettings):
    """Settings of the evaluator, which runs `slots` candidates at a time, each on `threads` threads.

    It refuses to start where candidates cannot be confined at `required_level`. Prepared data sets are read from
    `data_dir`, where `archloop data prepare` puts them.

    `heldout_secret` decides how held-out images are drawn, chosen and shown, and no candidate may know it: 32
    characters or more, the same for all evaluators whose results are to be compared. The service as a process of its
    own needs it; on a user's own machine one is made in `data_dir`, once. Accuracy differs slightly with the number of
    threads, so keep it the same for results that are to be compared.

    `gpus` are indices or UUIDs of GPUs or MIG slices with commas between: one candidate at a time on each, instead of
    `slots` on the CPU. Naming one twice puts two there, each of which should then have half as `gpu_memory_fraction`.

    As a process of its own the service reads code and earlier results from the registry at `registry_url`, with a token
    that allows no more than that. `out_of_reach` are addresses, `host:port` with commas between, that `python -m
    services.evaluator.isolation` tries for `out_of_reach_s` seconds each and that must not answer; the service itself
    does not try them.
    """

    service: ClassVar[str] = "evaluator"
    own_port: ClassVar[int] = 8002
    model_config = config("evaluator")

    slots: Annotated[int, Field(ge=1, le=4096)] = Field(default_factory=_cores)
    threads: Annotated[int, Field(ge=1, le=4096)] = 1
    gpus: Annotated[str, Field(pattern=_GPUS)] = ""
    gpu_memory_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    required_level: SandboxLevel = SandboxLevel.NAMESPACES
    data_dir: Annotated[Path, AfterValidator(_expanded)] = Path("~/.cache/archloop/data")
    heldout_secret: Annotated[SecretStr, AfterValidator(_long_enough)] | None = None
    registry_url: WebAddress | None = None
    registry_token: SecretStr | None = None
    out_of_reach: Annotated[str, Field(pattern=_PLACES)] = ""
    out_of_reach_s: Seconds = 3.0

    def devices(self) -> list[Device]:
        """Return the device of each slot."""
        if self.gpus:
            return [Device.of_gpu(gpu) for gpu in self.gpus.split(",")]
        return [Device.cpu()] * self.slots

    def secret(self) -> Secret:
        """Return the secret that is set, or else this user's own, which the first use makes.

        Raises Misconfigured.
        """
        if self.heldout_secret is not None:
            return Secret.of(self.heldout_secret.get_secret_value())
        try:
            return Secret.kept(self.data_dir)
        except (OSError, InvalidInput) as error:
            raise Misconfigured(self.variable("heldout_secret"), f"not set, and none is kept: {error}") from error
