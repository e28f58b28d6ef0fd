"""The list of runs, and some of them against each other."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from archloop.errors import InvalidInput
from services.registry.api.ports import LARGEST
from services.registry.page import charts, comparing, progress
from services.registry.page.paging import Pager
from services.registry.page.rendering import page
from services.registry.page.routing import DeskDep, LibraryDep, PageRoute, frame, patience

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_PAGE = 50
_MOST_COMPARED = 8
Offset = Annotated[int, Query(ge=0, le=LARGEST)]


@router.get("/page/runs")
async def list_runs(request: Request, library: LibraryDep, offset: Offset = 0) -> Response:
    """List runs, latest first, with how far each is."""
    found = await library.entries(offset, _PAGE)
    rows = [await progress.of(entry) for entry in found.items]
    pager = Pager("/page/runs", {}, offset, _PAGE, found.total)
    live = any(row.entry.run.finished is None for row in rows)
    name = "_runs.html" if "hx-request" in request.headers else "runs.html"
    return page(name, **frame(request), rows=rows, pager=pager, live=live)


@router.get("/page/compare")
async def compare(request: Request, desk: DeskDep, run: Annotated[list[str] | None, Query()] = None) -> Response:
    """Set runs against the first of them: their curves over each other, and how they differ."""
    keys = list(dict.fromkeys(run or ()))
    if not 2 <= len(keys) <= _MOST_COMPARED:
        raise InvalidInput("run", ", ".join(keys) or "none", f"2 to {_MOST_COMPARED} runs")
    read = {key: (await desk.summaries.read(await desk.library.find(key), patience(request))).summary for key in keys}
    found = [charts.compared(figure, curve, read) for figure, curve in comparing.CURVES]
    return page(
        "compare.html",
        **frame(request),
        keys=keys,
        charts=[chart for chart in found if chart],
        tables=comparing.tables(read),
        unlike=comparing.unlike(read),
    )
