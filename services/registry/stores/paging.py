"""Reads a cycle's candidates page by page: however many there are, other tasks have their turn in between."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from services.registry.records import Candidate, CandidateQuery, Cycle, Run
from services.registry.stores.port import Store

PAGE = 500


def scope_of(cycle: Cycle) -> str:
    """Return the name under which the store keeps how many of the cycle were asked for."""
    return f"c{cycle.cycle}"


async def pages(
    store: Store, run_id: str, cycle: int, stop: int, start: int = 0
) -> AsyncIterator[tuple[Candidate, ...]]:
    """Yield the candidates of the indices from `start` and below `stop`, in order."""
    for first in range(start, stop, PAGE):
        below = min(stop, first + PAGE)
        page = await store.candidates(CandidateQuery(run_id=run_id, cycle=cycle, first=first, below=below))
        if page.items:
            yield page.items
        await asyncio.sleep(0)


async def candidates(store: Store, run: Run, cycles: Iterable[int]) -> AsyncIterator[Candidate]:
    """Yield the candidates of these cycles of the run, in order."""
    for cycle in cycles:
        async for page in pages(store, run.run_id, cycle, run.spec.candidates):
            for candidate in page:
                yield candidate
