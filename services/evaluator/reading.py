"""From what the sandbox measured and the child sent to an outcome. What the child sent is hostile until checked."""

import re
import signal
from contextlib import suppress
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple, get_args

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from archloop.contracts.base import Sha256
from archloop.contracts.values import Outcome
from archloop.protocols.model import Limits
from services.evaluator.harness import frames
from services.evaluator.harness.frames import LOSS_POINTS
from services.evaluator.sandbox.port import JobResult, KilledBy
from services.evaluator.scoring import answers

STAGES = ("parse", "contract", "build", "shape", "train", "predict")
_KILLED_FOR: dict[KilledBy, Outcome] = {
    "wall": Outcome.TIMEOUT,
    "cpu": Outcome.TIMEOUT,
    "memory": Outcome.OUT_OF_MEMORY,
    "output": Outcome.FORBIDDEN,
    "processes": Outcome.FORBIDDEN,
}
assert set(_KILLED_FOR) == set(get_args(KilledBy))
# What a child can know of itself. That it ran out of time, or what its answers are worth, is not for it to say.
_TOLD = frozenset(
    {
        *(Outcome.OK, Outcome.SYNTAX_ERROR, Outcome.CONTRACT_ERROR, Outcome.BUILD_ERROR, Outcome.SHAPE_ERROR),
        *(Outcome.TRAIN_ERROR, Outcome.DIVERGED, Outcome.OUT_OF_MEMORY, Outcome.FORBIDDEN, Outcome.CRASHED),
    }
)
_AS_TOLD = {"parameters", "flops", "activation_bytes", "graph_sha256", "precision", "memory_format"}
_PATH = re.compile(r"(?:/[\w.+-]+)+/(?=[\w.+-])")
_DETAIL_LIMIT = 200


class Measures(NamedTuple):
    """The child's word on its network: advisory."""

    parameters: int | None = None
    flops: int | None = None
    activation_bytes: int | None = None
    uncounted: str = ""
    precision: str | None = None
    memory_format: str | None = None
    graph_sha256: str | None = None
    untraced: str = ""
    loss_curve: tuple[float, ...] = ()


class Reading(NamedTuple):
    """What became of a job; `predictions` (N,) only where the outcome is ok so far."""

    outcome: Outcome
    stage: str
    detail: str = ""
    measures: Measures = Measures()
    predictions: NDArray[Any] | None = None


Count = Annotated[int, Field(ge=0, lt=2**53)]


class _Verdict(BaseModel):
    """The child's word, in the only form that is listened to."""

    model_config = ConfigDict(strict=True, extra="forbid")

    outcome: str
    detail: Annotated[str, Field(max_length=500)]
    parameters: Count | None
    flops: Count | None = None
    activation_bytes: Count | None = None
    uncounted: Annotated[str, Field(max_length=200)] = ""
    graph_sha256: Sha256 | None = None
    untraced: Annotated[str, Field(max_length=200)] = ""
    precision: Literal["float32", "bfloat16"] | None = None
    memory_format: Literal["contiguous", "channels_last"] | None = None
    losses: Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(max_length=LOSS_POINTS)]


class _Sent(NamedTuple):
    stage: str
    predictions: bytes | None = None
    verdict: _Verdict | None = None


def read(result: JobResult, limits: Limits, *, count: int | None, classes: int) -> Reading:
    """The outcome short of scoring; `count` is the number of held-out images, None where none were shown."""
    sent = _sent(result.frames)
    if result.killed_by is not None:
        return Reading(_KILLED_FOR[result.killed_by], sent.stage, _limit(result.killed_by, limits))
    if result.signal is not None:
        return Reading(*_by_signal(result.signal, sent.stage))
    if result.exit != 0 or sent.verdict is None:
        detail = f"ended with status {result.exit} and without a valid answer"
        return Reading(Outcome.CRASHED, sent.stage, detail)
    return _told(sent, sent.verdict, count, classes)


def stage_seconds(result: JobResult) -> dict[str, float]:
    """How long each stage took that began, by the service's clock; `start` is from the order to the first of them.

    A child can announce a stage late or early, and so shift time between stages; their sum it cannot change.
    """
    begun: dict[str, float] = {}
    with suppress(ValueError):
        for frame in frames.unpack(result.frames):
            name = frame.payload.decode("ascii", "replace")
            if frame.kind != frames.STAGE or name not in STAGES or name in begun:
                continue
            if (seconds := result.seconds_until(frame.end)) is not None:
                begun[name] = seconds
    if not begun:
        return {}
    ends = [*begun.values(), max(result.arrivals[-1].seconds, *begun.values())]
    durations = zip(("start", *begun), pairwise((0.0, *ends)), strict=True)
    return {name: round(max(0.0, end - start), 6) for name, (start, end) in durations}


def one_line(detail: str) -> str:
    """Short, printable, and without directories of this machine."""
    printable = "".join(c if c.isprintable() else " " for c in detail)
    return _PATH.sub("…/", " ".join(printable.split()))[:_DETAIL_LIMIT]


def _told(sent: _Sent, verdict: _Verdict, count: int | None, classes: int) -> Reading:
    known = Measures(
        uncounted=one_line(verdict.uncounted),
        untraced=one_line(verdict.untraced),
        loss_curve=tuple(verdict.losses),
        **verdict.model_dump(include=_AS_TOLD),
    )
    try:
        outcome = Outcome(verdict.outcome)
        if outcome not in _TOLD:
            raise ValueError(f"claims to be {outcome}, which it cannot know")
        if outcome is not Outcome.OK:
            return Reading(outcome, sent.stage, one_line(verdict.detail), known)
        predictions = None if count is None else answers(sent.predictions or b"", count, classes)
    except ValueError as error:
        return Reading(Outcome.CRASHED, sent.stage, one_line(str(error)))
    return Reading(Outcome.OK, sent.stage, measures=known, predictions=predictions)


def _sent(stream: bytes) -> _Sent:
    """Stages in their order, then predictions, then the verdict, then nothing; or only as much as was right."""
    sent, expected = _Sent(STAGES[0]), iter(STAGES)
    try:
        for frame in frames.unpack(stream):
            if sent.verdict is not None:
                return sent._replace(verdict=None)
            sent = _next(sent, frame, expected)
    except (ValueError, StopIteration):
        return sent._replace(verdict=None)
    return sent


def _next(sent: _Sent, frame: frames.Frame, expected: Any) -> _Sent:
    if frame.kind == frames.STAGE and sent.predictions is None:
        stage = next(expected)
        if frame.payload != stage.encode():
            raise ValueError("a stage out of order")
        return sent._replace(stage=stage)
    if frame.kind == frames.PREDICTIONS and sent.stage == STAGES[-1] and sent.predictions is None:
        return sent._replace(predictions=frame.payload)
    if frame.kind == frames.VERDICT and len(frame.payload) <= frames.VERDICT_LIMIT:
        return sent._replace(verdict=_verdict(frame.payload))
    raise ValueError("a frame out of order")


def _verdict(payload: bytes) -> _Verdict:
    try:
        return _Verdict.model_validate_json(payload)
    except ValidationError as error:
        raise ValueError("no valid verdict") from error


def _by_signal(number: int, stage: str) -> tuple[Outcome, str, str]:
    if number == signal.SIGSYS:
        return Outcome.FORBIDDEN, stage, "made a system call that no network needs"
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return Outcome.CRASHED, stage, f"killed by {name}"


def _limit(killed_by: KilledBy, limits: Limits) -> str:
    return {
        "wall": f"more than {limits.wall_seconds:g} s",
        "cpu": f"more than {limits.cpu_seconds:g} s of CPU time",
        "memory": f"more than {limits.memory_bytes / 2**20:.0f} MiB of memory",
        "output": f"more than {limits.output_bytes} bytes of output",
        "processes": f"more than {limits.processes} threads at a time (limits.processes)",
    }[killed_by]
