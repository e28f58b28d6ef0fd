"""A data set of a few bright quadrants, a protocol over it, networks, and a sandbox that answers what it is told."""

from dataclasses import dataclass, field, replace

import numpy as np

from archloop.contracts.values import Evaluation, SandboxLevel
from archloop.protocols.model import DatasetSpec, Limits, Protocol
from services.evaluator.datasets.dataset import Dataset, Split, assemble
from services.evaluator.devices import Device
from services.evaluator.harness import frames
from services.evaluator.reading import STAGES
from services.evaluator.sandbox.port import Job, JobResult
from services.evaluator.secret import PUBLISHED, Secret

HELDOUT = Secret.of(PUBLISHED)
LIMITS = Limits(cpu_seconds=6, wall_seconds=30, memory_bytes=256 * 1024**2, tmpfs_bytes=1024**2, output_bytes=16384)
TINY = Protocol(
    name="tiny",
    description="which quadrant is bright",
    dataset=DatasetSpec(name="tiny", shape=(1, 8, 8), classes=4, train=256, validation=80, test=40),
    batch=16,
    limits=LIMITS,
)
ROOMY = TINY.model_copy(update={"limits": LIMITS.model_copy(update={"memory_bytes": 2**30, "cpu_seconds": 20})})

GOOD = """
import torch
from torch import nn


def supported_hyperparameters():
    return {"lr", "momentum"}


class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.device = device
        self.features = nn.Sequential(
            nn.Conv2d(in_shape[1], 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(4)
        )
        self.head = nn.Linear(32, out_shape[0])

    def forward(self, x):
        return self.head(self.features(x).flatten(1))

    def train_setup(self, prm):
        self.to(self.device)
        self.optimizer = torch.optim.SGD(self.parameters(), lr=prm["lr"], momentum=prm["momentum"])

    def learn(self, train_data):
        for inputs, labels in train_data:
            self.optimizer.zero_grad()
            nn.functional.cross_entropy(self(inputs), labels).backward()
            self.optimizer.step()
"""


class NoResults:
    """Has no earlier evaluation: every candidate is evaluated."""

    async def evaluation(self, code_sha256: str, protocol_sha256: str) -> None:
        return None


# Says on the candidate's own stdout, once for each `what`, that execution came to this place.
RAN = """
def ran(what, value="", _write=__import__("os").write, _told=set()):
    if what not in _told:
        _told.add(what)
        _write(1, f"<<ran {what} {value}>>".encode())

"""
_PLACES = {
    "init": "        super().__init__()\n",
    "forward": "    def forward(self, x):\n",
    "learn": "    def learn(self, train_data):\n",
}


def good(*, before: str = "", init: str = "", forward: str = "", learn: str = "") -> str:
    """The good network with statements added at its start, or at the start of a method.

    Statements that mark nothing themselves follow a mark, by which a test knows that execution came to them: see RAN.
    """
    code = GOOD
    for (place, line), statements in zip(_PLACES.items(), (init, forward, learn), strict=True):
        code = code.replace(line, line + _indented(_marked(place, statements)))
    return f"{RAN if code != GOOD or before else ''}{_marked('before', before)}\n{code}"


def quadrants(spec: DatasetSpec) -> Dataset:
    """Noise, and one bright quadrant which is the class."""
    return assemble(_split(spec.train, 0), [_split(spec.validation, 1), _split(spec.test, 2)])


@dataclass
class FakeSandbox:
    """Answers every job with `frames`, `exit` and `signal`, and remembers the jobs."""

    frames: bytes = b""
    exit: int | None = 0
    signal: int | None = None
    killed_by: str | None = None
    level: SandboxLevel = SandboxLevel.NAMESPACES
    device: Device = field(default_factory=Device)
    jobs: list[Job] = field(default_factory=list)

    async def run(self, job: Job) -> JobResult:
        self.jobs.append(job)
        told = result(self.frames, exit=self.exit, signal=self.signal, killed_by=self.killed_by)
        return replace(told, device=self.device)


def result(stream: bytes, *, exit=0, signal=None, killed_by=None, arrivals=()) -> JobResult:  # noqa: A002
    return JobResult(exit, signal, killed_by, 1.0, 0.5, 1000, b"", stream, Device(), arrivals)


def stages(*, up_to: str = STAGES[-1]) -> bytes:
    """The announcements of every stage up to this one."""
    reached = STAGES[: STAGES.index(up_to) + 1]
    return b"".join(frames.pack(frames.STAGE, stage.encode()) for stage in reached)


def _split(count: int, seed: int) -> Split:
    random = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 4
    images = random.integers(0, 120, (count, 1, 8, 8), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 100
    return Split(images, labels)


def _marked(place: str, statements: str) -> str:
    mark = "" if "ran(" in statements or "<<ran" in statements or not statements else f'ran("{place}")\n'
    return mark + statements.strip()


def _indented(statements: str) -> str:
    return "".join(f"        {line}\n" for line in statements.strip().splitlines())


def unvarying(evaluation: Evaluation) -> dict[str, object]:
    """All of an evaluation that must be the same each time."""
    varying = {"seconds", "cpu_seconds", "peak_memory_bytes", "stage_seconds", "seconds_per_step"}
    return evaluation.model_dump(exclude=varying)
