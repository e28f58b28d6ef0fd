"""Waiting on behalf of a client, no longer than it waits itself."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from fastapi import Request
from starlette.exceptions import HTTPException

T = TypeVar("T")
_CLIENT_CLOSED_REQUEST = 499


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return the work's result; the work is cancelled when the client hangs up."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise HTTPException(_CLIENT_CLOSED_REQUEST)
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def opened(items: AsyncIterator[T]) -> AsyncIterator[T]:
    """Await the first item and return all of them, so that a refusal comes before a response has begun."""
    first = await anext(items)

    async def rest() -> AsyncIterator[T]:
        yield first
        async for item in items:
            yield item

    return rest()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
