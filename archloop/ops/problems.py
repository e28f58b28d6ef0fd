"""Errors over HTTP as problem details (RFC 9457), with our `code` as an extension member."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import Response
from pydantic import BaseModel

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
