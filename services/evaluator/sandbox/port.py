"""The sandbox port: a job to run, and what comes back."""

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
    """One candidate to run: its source, the task, the arrays that it may see, and its limits.

    `arrays` are train images, train labels and held-out images, in that order. `result_bytes` is the most that may come
    back on the result pipe.
    """

    source: bytes
    task: Task
    arrays: Sequence[SharedArray]
    limits: Limits
    result_bytes: int


class Arrival(NamedTuple):
    """How many bytes of frames had come so many seconds after the order, by the service's clock."""

    position: int
    seconds: float


@dataclass(frozen=True)
class JobResult:
    """Outcome of a job: what the kernel and the service measured, and `frames` and `stdout` from the child.

    What the child sent is not to be trusted. Exactly one of `exit` and `signal` is set. `killed_by` names the limit for
    which it was killed. `peak_memory` is the resident memory in bytes beyond what the fork server shares with its
    children. `wall` and `cpu` are seconds. `arrivals` tell when which part of `frames` came.
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
        """Return when `frames` up to this position had come, in seconds from the order; None if never."""
        found = bisect_left(self.arrivals, position, key=lambda arrival: arrival.position)
        return self.arrivals[found].seconds if found < len(self.arrivals) else None


class Sandbox(Protocol):
    """Runs jobs in confinement; `level` says how strong it is."""

    level: SandboxLevel

    async def run(self, job: Job) -> JobResult:
        """Run a job to its end or to the first limit that is reached.

        Whatever the candidate does is a JobResult. At most `job.result_bytes` of frames and the last 4 KiB of stdout
        are kept; beyond `job.limits.output_bytes` of raw output the job is killed. Raises Unavailable when the sandbox
        itself failed, which says nothing about the candidate.
        """
