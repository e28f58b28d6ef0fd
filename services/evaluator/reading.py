"""From what the sandbox measured and the child sent to an outcome. The child's data is hostile until checked."""

import re
import signal
from contextlib import suppress
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args

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
_AS_TOLD = {"parameters", "flops", "activation_bytes", "precision", "memory_format"}
_PATH = re.compile(r"(?:/[\w.+-]+)+/(?=[\w.+-])")
_DETAIL_LIMIT = 200


class Measures(NamedTuple):
    """Advisory figures on its network that the child sent."""

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
    """Outcome of a job; `predictions` (N,) are class numbers, and there only while the outcome is ok."""

    outcome: Outcome
    stage: str
    detail: str = ""
    measures: Measures = Measures()
    predictions: NDArray[Any] | None = None


Word = TypeVar("Word", bound=BaseModel)
Count = Annotated[int, Field(ge=0, lt=2**53)]


class _OutcomeFrame(BaseModel):
    """Outcome that the child reports, in the only form that is accepted."""

    model_config = ConfigDict(strict=True, extra="forbid")

    outcome: str
    detail: Annotated[str, Field(max_length=500)]
    parameters: Count | None
    flops: Count | None = None
    activation_bytes: Count | None = None
    uncounted: Annotated[str, Field(max_length=200)] = ""
    precision: Literal["float32", "bfloat16"] | None = None
    memory_format: Literal["contiguous", "channels_last"] | None = None
    losses: Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(max_length=LOSS_POINTS)]


class _Graph(BaseModel):
    """What the child says of its graph, after its outcome."""

    model_config = ConfigDict(strict=True, extra="forbid")

    graph_sha256: Sha256 | None
    untraced: Annotated[str, Field(max_length=200)]


class _Sent(NamedTuple):
    stage: str
    predictions: bytes | None = None
    outcome: _OutcomeFrame | None = None
    graph: _Graph | None = None
    cut: bool = False


def read(result: JobResult, limits: Limits, *, count: int | None, classes: int) -> Reading:
    """Return the outcome of a job before scoring.

    `count` is the number of held-out images, None where none were shown. A valid outcome from the child decides: what
    ends the child after that, while its graph is followed, only costs the graph. A forbidden system call counts at any
    time.
    """
    sent, ended = _sent(result.frames), _ended(result, limits)
    if sent.outcome is None or result.signal == signal.SIGSYS:
        outcome, detail = ended or (Outcome.CRASHED, "ended without a valid answer")
        return Reading(outcome, sent.stage, detail)
    if ended is None and sent.cut:
        return Reading(Outcome.CRASHED, sent.stage, "ended within an answer")
    return _told(sent, sent.outcome, ended[1] if ended is not None else "", count, classes)


def stage_seconds(result: JobResult) -> dict[str, float]:
    """Return the seconds that each begun stage took, by the service's clock.

    `start` is from the order to the first stage; the last stage lasts until the outcome, or as long as anything came. A
    child can announce a stage late or early, and so shift time between stages; their sum it cannot change.
    """
    begun, settled = dict[str, float](), dict[bytes, float]()
    with suppress(ValueError):
        for frame in frames.unpack(result.frames):
            seconds = result.seconds_until(frame.end)
            name = frame.payload.decode("ascii", "replace")
            if seconds is not None and frame.kind == frames.STAGE and name in STAGES:
                begun.setdefault(name, seconds)
            elif seconds is not None:
                settled.setdefault(frame.kind, seconds)
    if not begun:
        return {}
    ends = [*begun.values(), max(settled.get(frames.OUTCOME, result.arrivals[-1].seconds), *begun.values())]
    durations = zip(("start", *begun), pairwise((0.0, *ends)), strict=True)
    return {name: round(max(0.0, end - start), 6) for name, (start, end) in durations}


def one_line(detail: str) -> str:
    """Make a text short, printable, and free of directories of this machine."""
    printable = "".join(c if c.isprintable() else " " for c in detail)
    return _PATH.sub("…/", " ".join(printable.split()))[:_DETAIL_LIMIT]


def _told(sent: _Sent, word: _OutcomeFrame, died: str, count: int | None, classes: int) -> Reading:
    """Return the reading of a child that sent an outcome.

    `died` says how the child ended after that, empty where it ended by itself.
    """
    graph = sent.graph or _Graph(graph_sha256=None, untraced=died)
    known = Measures(
        uncounted=one_line(word.uncounted),
        graph_sha256=graph.graph_sha256,
        untraced=one_line(graph.untraced),
        loss_curve=tuple(word.losses),
        **word.model_dump(include=_AS_TOLD),
    )
    try:
        outcome = Outcome(word.outcome)
        if outcome not in _TOLD:
            raise ValueError(f"claims to be {outcome}, which it cannot know")
        if outcome is not Outcome.OK:
            return Reading(outcome, sent.stage, one_line(word.detail), known)
        predictions = None if count is None else answers(sent.predictions or b"", count, classes)
    except ValueError as error:
        return Reading(Outcome.CRASHED, sent.stage, one_line(str(error)))
    return Reading(Outcome.OK, sent.stage, measures=known, predictions=predictions)


def _sent(stream: bytes) -> _Sent:
    """Collect the child's frames as far as they are valid: stages in their order, predictions, outcome, graph."""
    sent, expected = _Sent(STAGES[0]), iter(STAGES)
    try:
        for frame in frames.unpack(stream):
            sent = _next(sent, frame, expected)
    except frames.Cut:
        return sent._replace(cut=True)
    except (ValueError, StopIteration):
        return sent._replace(outcome=None)
    return sent


def _next(sent: _Sent, frame: frames.Frame, expected: Any) -> _Sent:
    if sent.outcome is not None:
        if frame.kind != frames.GRAPH or sent.graph is not None:
            raise ValueError("a frame after the outcome")
        return sent._replace(graph=_checked(_Graph, frame.payload))
    if frame.kind == frames.STAGE and sent.predictions is None:
        stage = next(expected)
        if frame.payload != stage.encode():
            raise ValueError("a stage out of order")
        return sent._replace(stage=stage)
    if frame.kind == frames.PREDICTIONS and sent.stage == STAGES[-1] and sent.predictions is None:
        return sent._replace(predictions=frame.payload)
    if frame.kind == frames.OUTCOME and len(frame.payload) <= frames.OUTCOME_LIMIT:
        return sent._replace(outcome=_checked(_OutcomeFrame, frame.payload))
    raise ValueError("a frame out of order")


def _checked(model: type[Word], payload: bytes) -> Word:
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        raise ValueError("nothing valid") from error


def _ended(result: JobResult, limits: Limits) -> tuple[Outcome, str] | None:
    """Return what the child's end says about it; None where it ended by itself."""
    if result.killed_by is not None:
        return _KILLED_FOR[result.killed_by], _limit(result.killed_by, limits)
    if result.signal == signal.SIGSYS:
        return Outcome.FORBIDDEN, "made a system call that no network needs"
    if (number := result.signal) is not None:
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        return Outcome.CRASHED, f"killed by {name}"
    return (
        None if result.exit == 0 else (Outcome.CRASHED, f"ended with status {result.exit} and without a valid answer")
    )


def _limit(killed_by: KilledBy, limits: Limits) -> str:
    return {
        "wall": f"more than {limits.wall_seconds:g} s",
        "cpu": f"more than {limits.cpu_seconds:g} s of CPU time",
        "memory": f"more than {limits.memory_bytes / 2**20:.0f} MiB of memory",
        "output": f"more than {limits.output_bytes} bytes of output",
        "processes": f"more than {limits.processes} threads at a time (limits.processes)",
    }[killed_by]
