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
    store: Store, run_id: str, cycle: int, stop: int | None = None, start: int = 0
) -> AsyncIterator[tuple[Candidate, ...]]:
    """Yield the candidates of the indices from `start` and below `stop`, or all, in order."""
    first: int | None = start
    while first is not None and (stop is None or first < stop):
        page = await store.candidates(CandidateQuery(run_id=run_id, cycle=cycle, first=first, below=stop, limit=PAGE))
        if page.items:
            yield page.items
        first = (page.items[-1].index or 0) + 1 if len(page.items) == PAGE else None
        await asyncio.sleep(0)


async def candidates(store: Store, run: Run, cycles: Iterable[int]) -> AsyncIterator[Candidate]:
    """Yield the candidates of these cycles of the run, in order."""
    for cycle in cycles:
        async for page in pages(store, run.run_id, cycle):
            for candidate in page:
                yield candidate
