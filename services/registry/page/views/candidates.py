"""A run's candidates: filtered, sorted, page by page; what is shown also as CSV."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from archloop import csv_lines
from archloop.contracts.values import Family, Outcome, Verdict
from archloop.errors import InvalidInput
from services.registry.api.ports import LARGEST
from services.registry.page import csv
from services.registry.page.library import Entry
from services.registry.page.paging import Pager
from services.registry.page.rendering import page
from services.registry.page.routing import LibraryDep, PageRoute, frame
from services.registry.records import CandidateQuery

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_PAGE = 50
_CSV_PAGE = 1000
_SORTS = ("index", "-index", "accuracy", "-accuracy", "similarity", "-similarity")
_FIELDS = ("cycle", "outcome", "verdict", "family", "min_accuracy", "code", "error", "sort")


def _conditions(
    cycle: Annotated[str, Query(max_length=10)] = "",
    outcome: Annotated[str, Query(max_length=30)] = "",
    verdict: Annotated[str, Query(max_length=30)] = "",
    family: Annotated[str, Query(max_length=30)] = "",
    min_accuracy: Annotated[str, Query(max_length=10)] = "",
    code: Annotated[str, Query(max_length=200)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
    sort: Annotated[str, Query(max_length=20)] = "",
) -> dict[str, str]:
    """Read what a form sends, in which nothing chosen is an empty text."""
    given = dict(zip(_FIELDS, (cycle, outcome, verdict, family, min_accuracy, code, error, sort), strict=True))
    return {name: value.strip() for name, value in given.items() if value.strip()}


Conditions = Annotated[dict[str, str], Depends(_conditions)]
Offset = Annotated[int, Query(ge=0, le=LARGEST)]


@router.get("/page/runs/{key}/candidates")
async def list_candidates(
    request: Request, library: LibraryDep, key: str, conditions: Conditions, offset: Offset = 0
) -> Response:
    """List the run's candidates that meet every given condition."""
    entry = await library.find(key)
    query = _query(entry, conditions, offset=offset, limit=_PAGE)
    found = await entry.shelf.store.candidates(query)
    pager = Pager(f"/page/runs/{key}/candidates", conditions, offset, _PAGE, found.total)
    return page(
        "_candidates.html" if "hx-request" in request.headers else "candidates.html",
        **frame(request),
        entry=entry,
        run=entry.run,
        candidates=found.items,
        pager=pager,
        given=conditions,
        sort=query.sort,
        choices={"outcome": list(Outcome), "verdict": list(Verdict), "family": list(Family)},
        csv=Pager(f"/page/runs/{key}/candidates.csv", conditions, 0, _PAGE, found.total).at(0),
    )


@router.get("/page/runs/{key}/candidates.csv")
async def export(library: LibraryDep, key: str, conditions: Conditions) -> Response:
    """Send all candidates that meet the conditions as CSV, in the order that is shown."""
    entry = await library.find(key)
    _query(entry, conditions)
    name = f"{entry.run.run_id}-candidates.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_csv(entry, conditions), media_type="text/csv; charset=utf-8", headers=headers)


async def _csv(entry: Entry, conditions: dict[str, str]) -> AsyncIterator[str]:
    yield csv_lines.line(csv.COLUMNS)
    offset = 0
    while items := (await _page(entry, conditions, offset)):
        yield "".join(csv_lines.line(csv.row(candidate)) for candidate in items)
        offset += len(items)


async def _page(entry: Entry, conditions: dict[str, str], offset: int) -> Any:
    query = _query(entry, conditions, offset=offset, limit=_CSV_PAGE)
    return (await entry.shelf.store.candidates(query)).items


def _query(entry: Entry, conditions: dict[str, str], **bounds: int) -> CandidateQuery:
    """Make the query. Raises InvalidInput for a condition that is none."""
    made = {
        "cycle": _number("cycle", conditions, int, "the number of a cycle"),
        "outcome": _member("outcome", conditions, [*Outcome]),
        "verdict": _member("verdict", conditions, [*Verdict]),
        "family": _member("family", conditions, [*Family]),
        "min_accuracy": _number("min_accuracy", conditions, float, "a number from 0 to 1"),
        "code": conditions.get("code"),
        "error": conditions.get("error"),
        "sort": _member("sort", conditions, [*_SORTS]) or "index",
    }
    return CandidateQuery.model_validate({"run_id": entry.run.run_id, **made, **bounds})


def _member(name: str, conditions: dict[str, str], members: list[str]) -> str | None:
    value = conditions.get(name)
    if value is not None and value not in members:
        raise InvalidInput(name, value, f"one of {', '.join(members)}")
    return value


def _number(name: str, conditions: dict[str, str], kind: type[int] | type[float], expected: str) -> float | None:
    if (given := conditions.get(name)) is None:
        return None
    try:
        value = kind(given)
    except ValueError:
        raise InvalidInput(name, given, expected) from None
    most = 1 if kind is float else LARGEST
    if not 0 <= value <= most:
        raise InvalidInput(name, given, expected)
    return value
