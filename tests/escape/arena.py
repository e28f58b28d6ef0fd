"""What every escape test asserts: contained, the right outcome, nothing left behind, the next candidate unharmed."""

import gc
import os
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from archloop.contracts.values import Evaluation, Outcome
from archloop.protocols.model import Protocol
from services.evaluator.evaluator import Evaluator
from services.evaluator.sandbox.client import ZygoteSandbox
from tests.unit.evaluator.support import GOOD, LIMITS, TINY, unvarying

MARK = "archloop-escape"
SECRET = "hunter2-archloop"

# A CPU limit that a runaway reaches soon, and a wall limit that only a sleeper reaches.
RUNAWAY = TINY.model_copy(update={"name": "runaway", "limits": LIMITS.model_copy(update={"cpu_seconds": 0.6})})
SLEEPER = TINY.model_copy(update={"name": "sleeper", "limits": LIMITS.model_copy(update={"wall_seconds": 1.5})})


@dataclass
class Arena:
    """One evaluator for all tests, as in production, and what it said of the good candidate at first."""

    evaluator: Evaluator
    sandbox: ZygoteSandbox
    expected: Evaluation | None = field(default=None)

    async def contained(self, code: str, *outcomes: Outcome, protocol: Protocol = TINY) -> Evaluation:
        """Evaluate hostile code; assert everything that must hold whatever it tried."""
        expected = await self._expected()
        before = self._world()
        evaluation = await self.evaluator.evaluate(code, protocol)
        assert evaluation.outcome in outcomes, f"{evaluation.outcome}: {evaluation.detail}"
        assert SECRET not in evaluation.model_dump_json()
        assert evaluation.seconds < protocol.limits.wall_seconds + 5
        assert self._world() == before
        assert list(_marked()) == []
        assert unvarying(await self.evaluator.evaluate(GOOD, TINY)) == unvarying(expected)
        return evaluation

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


def skip_or_fail(reason: str) -> None:
    """A developer's machine may lack namespaces, the machine that vouches for the sandbox may not."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"the sandbox cannot be tested here: {reason}")
    pytest.skip(reason)


def _marked() -> list[Path]:
    """Files that an escaped program would have left on this machine."""
    places = map(Path, ("/", "/tmp", "/var/tmp", "/dev/shm", "/etc", "/usr/lib", "."))
    return [path for place in places if place.is_dir() for path in place.glob(f"{MARK}*")]
