"""Errors over HTTP as problem details (RFC 9457), with our `code` as an extension member."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from archloop.errors import ArchloopError, InvalidInput

log = structlog.get_logger(__name__)
_STATUS = {
    "not_found": HTTPStatus.NOT_FOUND,
    "conflict": HTTPStatus.CONFLICT,
    "invalid_input": HTTPStatus.UNPROCESSABLE_ENTITY,
    "unauthorized": HTTPStatus.UNAUTHORIZED,
    "busy": HTTPStatus.SERVICE_UNAVAILABLE,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "bus_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
}
HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "5"},
}


class Mistake(BaseModel):
    """One wrong field of a request."""

    field: str
    value: str
    expected: str


class Problem(BaseModel):
    """What went wrong; `errors` names each wrong field, its value, and what would be right."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    errors: list[Mistake] = []


def problem(
    status: HTTPStatus,
    detail: str,
    code: str = "",
    errors: Sequence[Mistake] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Make the HTTP answer; `code` is the status's name unless it is given."""
    told = Problem(
        title=status.phrase, status=status, detail=detail, code=code or status.name.lower(), errors=list(errors)
    )
    return Response(
        json.dumps(told.model_dump(exclude_defaults=False)),
        status_code=status,
        media_type="application/problem+json",
        headers={**HEADERS.get(status, {}), **(headers or {})},
    )


def responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return how OpenAPI documents that an operation may answer with these problems."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {int(status): {"description": status.phrase, "content": content} for status in statuses}


NOT_FOUND = responses(HTTPStatus.NOT_FOUND)


def status_of(error: ArchloopError) -> HTTPStatus:
    """Return the HTTP status that says it."""
    return _STATUS.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)


def install(app: FastAPI) -> None:
    """Make every error that leaves the app a problem."""
    app.add_exception_handler(ArchloopError, _deliberate)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _deliberate(_: Request, error: Exception) -> Response:
    assert isinstance(error, ArchloopError)
    mistakes = []
    if isinstance(error, InvalidInput):
        mistakes = [Mistake(field=error.field, value=_short(error.value), expected=error.expected)]
    return problem(status_of(error), str(error), error.code, mistakes)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    mistakes = [_mistake(each) for each in error.errors()]
    detail = "; ".join(f"{m.field}: {m.value} is not valid; expected {m.expected}" for m in mistakes[:3])
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, InvalidInput.code, mistakes)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(HTTPStatus(error.status_code), str(error.detail), headers=error.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("request failed", path=request.url.path, exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "an error that should not be; see the log", "internal")


def _mistake(error: Mapping[str, Any]) -> Mistake:
    where = ".".join(map(str, error["loc"]))
    return Mistake(field=where, value=_short(error.get("input")), expected=error["msg"])


def _short(value: object, limit: int = 120) -> str:
    text = ascii(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
