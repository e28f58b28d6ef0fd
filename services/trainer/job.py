"""Messages between the service and its training process, one JSON line each, nothing pickled; and how a job fails."""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Protocol

from pydantic import Field, TypeAdapter

from archloop.contracts.adapter import BatchShape, LoraShape, Probe
from archloop.contracts.base import Frozen
from archloop.contracts.training import TrainingSpec
from archloop.errors import ArchloopError, Unavailable

OUT_OF_MEMORY = "out_of_memory"


class TrainingRefused(ArchloopError):
    """The same job would fail again: its settings, its pairs or its parent must change."""

    code = "training_refused"


class TrainingInterrupted(Unavailable):
    """The training process died, hung or was stopped; the same job may succeed later."""

    code = "training_interrupted"


class Job(Frozen):
    """Order to tune `base_model` on the JSON lines in `pairs`, from `parent` if there is one, into the folder `out`.

    `checkpoints` is a folder of this job's alone that outlives the process; one is left there every `checkpoint_steps`.
    `shape` is how the pairs of a step are taken; null is as `training` says, in one process.
    """

    base_model: str
    pairs: Path
    parent: Path | None = None
    out: Path
    training: TrainingSpec
    seed: int
    checkpoints: Path | None = None
    checkpoint_steps: int = 0
    shape: BatchShape | None = None

    @property
    def batches(self) -> BatchShape:
        """How the pairs of a step are taken."""
        spec = self.training
        return self.shape or BatchShape(batch_size=spec.batch_size, accumulation=spec.accumulation)


class Ready(Frozen):
    """The process has its libraries and base model in memory."""

    kind: Literal["ready"] = "ready"


class Progress(Frozen):
    """One optimiser step is done; `loss` is the mean over its completion tokens, in nats.

    `tokens` counts all that were trained on so far, padding left out.
    """

    kind: Literal["progress"] = "progress"
    step: int
    steps: int
    loss: float
    tokens: int = 0


class Tuned(Frozen):
    """The adapter's files are complete. `dropped` pairs were longer than `max_length` and were not trained on.

    `resumed` is the step of the checkpoint from which this process went on; `tokens_per_second` is of its own steps.
    """

    kind: Literal["tuned"] = "tuned"
    pair_count: int
    dropped: int
    loss_curve: tuple[float, ...]
    token_curve: tuple[int, ...] = ()
    steps: int = 0
    resumed: int = 0
    shape: BatchShape = BatchShape()
    lora: LoraShape
    probe: Probe
    libraries: dict[str, str]
    seconds: float
    tokens_per_second: float = 0.0


class Failed(Frozen):
    """There is no adapter. `code` and `retryable` as in archloop.errors."""

    kind: Literal["failed"] = "failed"
    code: str
    retryable: bool
    detail: str


class Point(NamedTuple):
    """One step: its loss, and the tokens trained on until its end."""

    loss: float
    tokens: int


Report = Annotated[Ready | Progress | Tuned | Failed, Field(discriminator="kind")]
REPORTS: TypeAdapter[Report] = TypeAdapter(Report)


class Tuner(Protocol):
    """Turns pairs into an adapter, away from the event loop."""

    async def tune(self, job: Job) -> Tuned:
        """Run the job to its end. Raises TrainingRefused (permanent) and TrainingInterrupted (retryable)."""
