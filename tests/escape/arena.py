"""What every escape test asserts: it ran, was contained, left nothing behind, and did the next candidate no harm."""

import gc
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from archloop.contracts.values import Evaluation, Outcome, SandboxLevel
from archloop.errors import SandboxUnavailable
from archloop.protocols.model import Protocol
from services.evaluator.evaluator import Evaluator
from services.evaluator.sandbox.client import ForkServerSandbox
from services.evaluator.sandbox.port import Job, JobResult
from tests.unit.evaluator.support import GOOD, HELDOUT, LIMITS, RAN, TINY, quadrants, unvarying

MARK = "archloop-escape"
SECRET = "hunter2-archloop"

# A CPU limit that a runaway reaches soon, and a wall limit that only a sleeper reaches.
RUNAWAY = TINY.model_copy(update={"name": "runaway", "limits": LIMITS.model_copy(update={"cpu_seconds": 0.6})})
SLEEPER = TINY.model_copy(update={"name": "sleeper", "limits": LIMITS.model_copy(update={"wall_seconds": 1.5})})


_NAMED = re.compile(r"""ran\(["'](\w+)|<<ran (\w+) """)
_CAME = re.compile(rb"<<ran (\w+) ([^>]*)>>")


def named(code: str) -> set[str]:
    """The marks that this source can make: see tests/unit/evaluator/support.py."""
    return {by_call or by_hand for by_call, by_hand in _NAMED.findall(code)}


def came(output: bytes) -> dict[str, str]:
    """The marks that a candidate's stdout holds, each with its first value: for its graph it is executed again."""
    return {name.decode(): value.decode(errors="replace") for name, value in reversed(_CAME.findall(output))}


@dataclass
class Witness:
    """A sandbox that remembers what each candidate wrote to stdout."""

    inner: ForkServerSandbox
    outputs: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def level(self) -> SandboxLevel:
        return self.inner.level

    async def run(self, job: Job) -> JobResult:
        result = await self.inner.run(job)
        self.outputs[job.source] = result.stdout
        return result

    def taken(self, code: str) -> dict[str, str]:
        """The marks that this candidate made since they were last taken."""
        return came(self.outputs.pop(code.encode(errors="replace"), b""))


@dataclass
class Arena:
    """One evaluator for all tests, as in production, and what it said of the good candidate at first.

    `marks` are those of the last hostile program.
    """

    evaluator: Evaluator
    sandbox: ForkServerSandbox
    witness: Witness
    expected: Evaluation | None = field(default=None)
    marks: dict[str, str] = field(default_factory=dict)

    async def contained(
        self, code: str, *outcomes: Outcome, protocol: Protocol = TINY, refused: str | None = None
    ) -> Evaluation:
        """Evaluate hostile code; assert everything that must hold whatever it tried, and that it did try.

        `refused` is why nothing of it may run, of a source that is turned away when it is read.
        """
        expected = await self._expected()
        before = self._world()
        evaluation = await self.evaluator.evaluate(code, protocol)
        self.marks = self.witness.taken(code)
        self._assert_tried(code, evaluation, refused)
        assert evaluation.outcome in outcomes, f"{evaluation.outcome}: {evaluation.detail}"
        assert SECRET not in evaluation.model_dump_json()
        assert evaluation.seconds < protocol.limits.wall_seconds + 5
        assert self._world() == before
        assert list(_marked()) == []
        assert unvarying(await self.evaluator.evaluate(GOOD, TINY)) == unvarying(expected)
        return evaluation

    def _assert_tried(self, code: str, evaluation: Evaluation, refused: str | None) -> None:
        what = f"{evaluation.outcome} in {evaluation.stage}: {evaluation.detail}"
        if refused is not None:
            assert self.marks == {}, f"it ran, though it is to be refused: {refused}"
            assert evaluation.stage in ("parse", "contract"), f"it is to be refused, for {refused}; {what}"
            return
        wanted = named(code)
        assert wanted or (evaluation.outcome is Outcome.OK and RAN not in code), (
            f"a source without marks proves nothing; {what}"
        )
        assert wanted <= self.marks.keys(), f"the attack did not run: no {wanted - self.marks.keys()}; {what}"

    async def _expected(self) -> Evaluation:
        if self.expected is None:
            self.expected = await self.evaluator.evaluate(GOOD, TINY)
            assert self.expected.outcome is Outcome.OK, self.expected.detail
        return self.expected

    def _world(self) -> tuple[object, ...]:
        """Processes, descriptors, mounts: of this process, of the fork server and below it."""
        launcher = psutil.Process(self.sandbox.pid)
        tree = [launcher, *launcher.children(recursive=True)]
        gc.collect()  # what earlier tests left for the collector to close is not the candidate's doing
        mounts = Path("/proc/self/mountinfo").read_text()
        return [p.pid for p in tree], [p.num_fds() for p in tree], psutil.Process().num_fds(), mounts


@asynccontextmanager
async def running(sandbox: ForkServerSandbox) -> AsyncIterator[tuple[Evaluator, Witness]]:
    """An evaluator over the sandbox, which is better than a bare process; skips where there is none."""
    witness = Witness(sandbox)
    evaluator = Evaluator(witness, quadrants, HELDOUT)
    try:
        await sandbox.start()
    except SandboxUnavailable as error:
        skip_or_fail(str(error))
    assert sandbox.level is not SandboxLevel.PROCESS
    yield evaluator, witness
    await sandbox.close()
    await evaluator.close()


def skip_or_fail(reason: str) -> None:
    """A developer's machine may lack namespaces, the machine that vouches for the sandbox may not."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"the sandbox cannot be tested here: {reason}")
    pytest.skip(reason)


def _marked() -> list[Path]:
    """Files that an escaped program would have left on this machine."""
    places = map(Path, ("/", "/tmp", "/var/tmp", "/dev/shm", "/etc", "/usr/lib", "."))
    return [path for place in places if place.is_dir() for path in place.glob(f"{MARK}*")]
