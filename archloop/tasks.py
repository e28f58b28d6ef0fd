"""Ending tasks that have to end, and outlasting what must not be left."""

import asyncio
from contextlib import suppress
from itertools import repeat
from typing import Any

_CANCELLED_S = 0.5


async def cancelled(*tasks: "asyncio.Future[None]", times: int | None = None) -> None:
    """Cancel the tasks until they have ended, for a cancellation may be lost on its way.

    The broker's client turns one into an error of its own now and then, and before Python 3.12 `asyncio.wait_for`
    forgets one that comes just when what it waits for is there. What they raise is nobody's affair.

    Args:
        tasks: What is to end.
        times: How often they are cancelled at most, and then left alone; by default as often as it takes.

    """
    for _ in repeat(None) if times is None else repeat(None, times):
        left = [task for task in tasks if not task.done()]
        if not left:
            break
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_CANCELLED_S)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # looked at, so that the event loop does not report it as nobody's


async def ended(work: "asyncio.Future[Any]") -> None:
    """Wait until the work is done, however often this task is told to end meanwhile. What it raises is not raised."""
    while not work.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([work])
    if not work.cancelled():
        work.exception()
