"""Ending tasks that have to end."""

import asyncio
from itertools import repeat

_CANCELLED_S = 0.5


async def cancelled(*tasks: "asyncio.Task[None]", times: int | None = None) -> None:
    """Cancel the tasks until they have ended, for a cancellation may be lost on its way.

    The broker's client turns one into an error of its own now and then, and before Python 3.12 `asyncio.wait_for`
    forgets one that comes just when what it waits for is there.

    Args:
        tasks: What is to end.
        times: How often they are cancelled at most, and then left alone; by default as often as it takes.

    """
    for _ in repeat(None) if times is None else repeat(None, times):
        left = [task for task in tasks if not task.done()]
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_CANCELLED_S)
