"""Runs, their cycles and summaries, what was admitted, the adapters that came of it, what waits, and who is there."""

from typing import Annotated

from fastapi import APIRouter, Query

from archloop.contracts.base import RunId
from archloop.errors import NotFound
from archloop.ops.presence import Presence
from archloop.ops.problems import NOT_FOUND
from services.registry.api.ports import Limit, Offset, PortsDep, RunPath, StoreDep
from services.registry.counting import QueueCount
from services.registry.records import Adapter, Architecture, Cycle, Page, Run
from services.registry.statistics.summary import Summary, summarise
from services.registry.stores.port import Store

router, queues = APIRouter(tags=["runs"]), APIRouter(tags=["queues"])


@router.get("/runs")
async def list_runs(store: StoreDep, offset: Offset = 0, limit: Limit = 100) -> Page[Run]:
    """List runs, latest first."""
    return await store.runs(offset=offset, limit=limit)


@router.get("/runs/{run_id}", responses=NOT_FOUND)
async def get_run(store: StoreDep, run_id: RunPath) -> Run:
    """Return one run, with its spec."""
    return await existing_run(store, run_id)


@router.get("/runs/{run_id}/summary", responses=NOT_FOUND)
async def get_summary(store: StoreDep, run_id: RunPath) -> Summary:
    """Return what the run came to so far, cycle by cycle."""
    return await summarise(store, run_id)


@router.get("/runs/{run_id}/cycles", responses=NOT_FOUND)
async def list_cycles(store: StoreDep, run_id: RunPath) -> list[Cycle]:
    """List the run's cycles, in order."""
    await existing_run(store, run_id)
    return await store.cycles(run_id)


@router.get("/architectures")
async def list_architectures(
    store: StoreDep,
    run_id: Annotated[RunId | None, Query(description="Of this run only.")] = None,
    offset: Offset = 0,
    limit: Limit = 100,
) -> Page[Architecture]:
    """List admitted candidates, best first."""
    return await store.architectures(run_id, offset=offset, limit=limit)


@router.get("/adapters")
async def list_adapters(
    store: StoreDep, run_id: Annotated[RunId | None, Query(description="Of this run only.")] = None
) -> list[Adapter]:
    """List every version of the LLM, by run and cycle, each with the version that it continues."""
    return await store.adapters(run_id)


@queues.get("/queues")
async def list_queues(ports: PortsDep) -> list[QueueCount]:
    """List every queue of the loop, in the order of its steps, and what is gone of it; empty until the first count."""
    return ports.counts.latest


@queues.get("/services")
async def list_services(ports: PortsDep) -> list[Presence]:
    """List the processes that were there at the latest count, this one first."""
    return list(ports.counts.services)


async def existing_run(store: Store, run_id: str) -> Run:
    """Return the run. Raises NotFound."""
    run = await store.run(run_id)
    if run is None:
        raise NotFound("run", run_id)
    return run
