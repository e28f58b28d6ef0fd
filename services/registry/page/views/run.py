"""One run: how it goes, in numbers and figures, live while it goes on."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.registry.api.feed import Feed
from services.registry.api.streams import PING, EventStream, events
from services.registry.page import charts, progress
from services.registry.page.charts import Told
from services.registry.page.library import Entry
from services.registry.page.rendering import page
from services.registry.page.routing import Desk, DeskDep, LibraryDep, PageRoute, frame, patience
from services.registry.statistics import collapses
from services.registry.statistics.summary import Summary

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Against = Annotated[str | None, Query(max_length=200)]
_TICK = b"data: changed\r\n\r\n"
_PACE_S = 1.5
_LOOKED_THROUGH = 200


@router.get("/page/runs/{key}")
async def show_run(request: Request, desk: DeskDep, key: str, control: Against = None) -> Response:
    """Show a run, and its control behind it."""
    entry = await desk.library.find(key)
    read = await desk.summaries.read(entry, patience(request))
    behind = await _control(desk, entry, control)
    against = (await desk.summaries.read(behind, patience(request))).summary if behind else None
    cycles = await entry.shelf.store.cycles(entry.run.run_id)
    name = "_run.html" if "hx-request" in request.headers else "run.html"
    return page(
        name,
        **frame(request),
        entry=entry,
        run=entry.run,
        summary=read.summary,
        tiles=_tiles(read.summary, against),
        charts=charts.of_run(Told(read.summary, read.accuracies, against)),
        cycles=charts.begun(read.summary),
        progress=await progress.of(entry),
        awaited=await progress.awaited(entry, cycles),
        counts=desk.counts.latest,
        gpus=desk.counts.gpus if entry.run.finished is None else (),
        collapse=collapses.rows(charts.begun(read.summary), entry.run.spec),
        control=behind.key if behind else "",
        others=[other.key for other in (await desk.library.entries(0, _LOOKED_THROUGH)).items if other.key != key],
    )


async def _control(desk: Desk, entry: Entry, asked: str | None) -> Entry | None:
    """Find the run that stands behind this one: the one that is asked for, or the same run without tuning."""
    if asked is not None:
        return await desk.library.find(asked) if asked else None
    if entry.run.spec.frozen:
        return None
    wanted = entry.run.spec.model_copy(update={"frozen": True})
    found = (await desk.library.entries(0, _LOOKED_THROUGH)).items
    return next((other for other in found if other.run.spec == wanted), None)


def _tiles(summary: Summary, control: Summary | None) -> list[dict[str, str | float | None]]:
    """Set the first closed cycle beside the last."""
    closed = charts.closed(summary)
    ended = charts.closed(control) if control else []
    if not closed:
        return []
    shown = (
        ("valid rate", "valid_rate", "percent"),
        ("mean accuracy", "mean_accuracy", "number"),
        ("best accuracy", "best_accuracy", "number"),
        ("at or above the threshold, of generated", "share_ge_threshold_generated", "percent"),
        ("novelty rate", "novelty_rate", "percent"),
        ("families admitted", "family_count", "count"),
    )
    return [
        {
            "label": label,
            "form": form,
            "first": getattr(closed[0], key),
            "last": getattr(closed[-1], key),
            "control": getattr(ended[-1], key) if ended else None,
        }
        for label, key, form in shown
    ]


@router.get("/page/runs/{key}/live")
async def follow(library: LibraryDep, key: str) -> Response:
    """Send an event whenever something of the run was recorded, now and then at most."""
    entry = await library.find(key)
    if entry.run.finished is not None:
        return Response(status_code=HTTPStatus.NO_CONTENT)  # which tells a browser not to ask again
    shelf = entry.shelf
    start = await shelf.store.last_event()
    return EventStream(shelf.feed, start, entry.run.run_id, _ticks(shelf.feed, start, entry.run.run_id))


async def _ticks(feed: Feed, after: int, run_id: str) -> AsyncIterator[bytes]:
    async for data in events(feed, after, run_id):
        if data == PING:
            yield PING
        else:
            yield _TICK
            await asyncio.sleep(_PACE_S)
