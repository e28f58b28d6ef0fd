"""The sandbox port: one verb, and what comes back."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from archloop.contracts.values import SandboxLevel
from archloop.protocols.model import Limits
from services.evaluator.devices import Device
from services.evaluator.harness.task import Task
from services.evaluator.sandbox.shared import SharedArray

KilledBy = Literal["wall", "cpu", "memory", "output", "processes"]
STDOUT_TAIL = 4096


@dataclass(frozen=True)
class Job:
    """One candidate: its source, what to do with it, the arrays that it may see, and its bounds.

    `arrays` are train images, train labels and held-out images, in that order. `result_bytes` bounds
    what may come back on the result pipe.
    """

    source: bytes
    task: Task
    arrays: Sequence[SharedArray]
    limits: Limits
    result_bytes: int


class Arrival(NamedTuple):
    """By this many seconds after the order, by the service's clock, so many bytes of frames had come."""

    position: int
    seconds: float


@dataclass(frozen=True)
class JobResult:
    """What the kernel and the parent measured, and what the child sent: `frames` and `stdout`, its word only.

    Exactly one of `exit` and `signal` is set. `killed_by` names the limit for which it was killed.
    `peak_memory` is the resident memory in bytes beyond what the fork server shares with its children.
    `arrivals` tell when which part of `frames` came.
    """

    exit: int | None
    signal: int | None
    killed_by: KilledBy | None
    wall: float
    cpu: float
    peak_memory: int
    stdout: bytes
    frames: bytes
    device: Device
    arrivals: tuple[Arrival, ...] = ()

    def seconds_until(self, position: int) -> float | None:
        """When `frames` up to this position had arrived, from the order on; None if they never did."""
        found = bisect_left(self.arrivals, position, key=lambda arrival: arrival.position)
        return self.arrivals[found].seconds if found < len(self.arrivals) else None


class Sandbox(Protocol):
    """Runs jobs confined; `level` says how strongly."""

    level: SandboxLevel

    async def run(self, job: Job) -> JobResult:
        """Run to the end or to the first limit that is reached.

        Whatever the candidate does is a JobResult. At most `job.result_bytes` frames and the last 4 KiB
        of stdout are kept; beyond `job.limits.output_bytes` of raw output the job is killed.
        Raises Unavailable when the sandbox itself failed, which says nothing about the candidate.
        """
