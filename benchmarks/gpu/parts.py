"""The parts, most important first, and the share of the time that each is given."""

import importlib
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from benchmarks.gpu.given import Given


class Part(NamedTuple):
    """One part: its heading, the module whose `measure` does it, and its share of the time."""

    title: str
    module: str
    share: float

    def measure(self) -> Callable[[Given], Awaitable[None]]:
        """Return what does it; its libraries are imported only where it runs."""
        measure: Callable[[Given], Awaitable[None]] = importlib.import_module(self.module).measure
        return measure


PARTS = {
    "sandbox": Part("The sandbox with CUDA in the child", "benchmarks.gpu.sandbox", 0.34),
    "evaluation": Part("What an evaluation costs", "benchmarks.gpu.evaluation", 0.26),
    "trainer": Part("Tuning", "benchmarks.gpu.trainer", 0.12),
    "server": Part("Serving", "benchmarks.gpu.server", 0.12),
    "run": Part("A whole run and its frozen control", "benchmarks.gpu.whole_run", 0.16),
}
