"""Whether a GPU is there, and has the memory that a slot was promised: asked of the driver, never of a child.

A candidate that runs out of memory has only itself to blame where what it was promised was free before it began.
"""

import asyncio
from typing import Protocol

import structlog

from archloop import gpus
from archloop.gpus import Gpu

log = structlog.get_logger(__name__)
ENOUGH, ENOUGH_OF_ALL = 0.9, 0.75  # of a promise; of a whole GPU, on which a display and the driver have some, too
NEIGHBOUR_GB = 1.0  # that a running neighbour may take beyond its promise: its context


class Driver(Protocol):
    """What is asked of the GPUs' driver."""

    def answers(self) -> bool:
        """Return whether it can be asked. Raises GpuLost."""

    def state(self, visible: str) -> Gpu:
        """Return a GPU as it is now. Raises GpuLost."""


class GpuWatch:
    """Watch of the GPUs of all slots. Where the driver could not be asked at the start, it looks at nothing."""

    def __init__(self, driver: Driver = gpus) -> None:
        self._driver = driver
        self._looks = False

    async def start(self) -> None:
        """Find out whether the driver can be asked. Raises GpuLost where it should answer and does not."""
        self._looks = await asyncio.to_thread(self._driver.answers)
        if not self._looks:
            log.warning("the GPUs' driver cannot be asked, so other users of a GPU are not told from candidates")

    async def room(self, gpu: str | None, fraction: float, neighbours: int) -> None:
        """Return if a slot on this GPU can have its share beside so many running neighbours. Raises GpuLost."""
        if gpu is not None and self._looks:
            found = await asyncio.to_thread(self._driver.state, gpu)
            found.require(promised_gb(found.memory_gb, fraction, neighbours), "a candidate's slot")

    async def present(self, gpu: str | None) -> None:
        """Return if the GPU is there. Raises GpuLost."""
        if gpu is not None and self._looks:
            await asyncio.to_thread(self._driver.state, gpu)


def promised_gb(memory_gb: float, fraction: float, neighbours: int) -> float:
    """Return the memory that must be free before a candidate begins."""
    share = ENOUGH_OF_ALL if fraction == 1 else ENOUGH * fraction
    return max(0.0, share * memory_gb - NEIGHBOUR_GB * neighbours)
