"""What the service and its training process say to each other: one JSON line each, nothing pickled."""

from pathlib import Path
from typing import Annotated, Literal, Protocol

from pydantic import Field, TypeAdapter

from archloop.contracts.adapter import LoraShape, Probe
from archloop.contracts.base import Frozen
from archloop.contracts.spec import TrainingSpec

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
ADAPTER_FILES = (CONFIG_FILE, WEIGHTS_FILE)


class Job(Frozen):
    """Tune `base_model` on the JSON lines in `pairs`, from `parent` if there is one; leave the adapter in `out`."""

    base_model: str
    pairs: Path
    parent: Path | None = None
    out: Path
    training: TrainingSpec
    seed: int


class Ready(Frozen):
    """The process has its libraries and base model in memory."""

    kind: Literal["ready"] = "ready"


class Progress(Frozen):
    """One optimiser step is done; `loss` is the mean over its completion tokens, in nats."""

    kind: Literal["progress"] = "progress"
    step: int
    steps: int
    loss: float


class Tuned(Frozen):
    """The adapter's files are complete. `dropped` pairs were longer than `max_length` and were not trained on."""

    kind: Literal["tuned"] = "tuned"
    pair_count: int
    dropped: int
    loss_curve: tuple[float, ...]
    lora: LoraShape
    probe: Probe
    libraries: dict[str, str]
    seconds: float


class Failed(Frozen):
    """There is no adapter. `code` and `retryable` as in archloop.errors."""

    kind: Literal["failed"] = "failed"
    code: str
    retryable: bool
    detail: str


Report = Annotated[Ready | Progress | Tuned | Failed, Field(discriminator="kind")]
REPORTS: TypeAdapter[Report] = TypeAdapter(Report)


class Tuner(Protocol):
    """Turns pairs into an adapter, away from the event loop."""

    async def tune(self, job: Job) -> Tuned:
        """Run the job to its end. Raises TrainingRefused (permanent) and TrainingInterrupted (retryable)."""
