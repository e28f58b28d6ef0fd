"""Our errors in TGI's form: a status, and {"error", "error_type"}."""

from collections.abc import Mapping
from typing import NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from archloop.errors import ArchloopError, Conflict, InvalidInput, NotFound
from services.generator.modelserver.generation import GenerationFailed, Overloaded
from services.generator.modelserver.wire import problem


class _Form(NamedTuple):
    status: int
    error_type: str


_FORMS: Mapping[type[ArchloopError], _Form] = {
    InvalidInput: _Form(422, "validation"),
    GenerationFailed: _Form(424, "generation"),
    Overloaded: _Form(429, "overloaded"),
    NotFound: _Form(404, "not_found"),
    Conflict: _Form(400, "conflict"),
}
# What never comes to a route: a body that is no JSON, a path or a method that there is not.
_ROUTING = {400: _Form(422, "validation"), 404: _Form(404, "not_found"), 405: _Form(405, "method_not_allowed")}


def body_of(error: ArchloopError) -> dict[str, str]:
    """Return the body for this error."""
    return {"error": str(error), "error_type": _FORMS[type(error)].error_type}


def status_of(error: ArchloopError) -> int:
    """Return the HTTP status for this error."""
    return _FORMS[type(error)].status


def install(app: FastAPI) -> None:
    """Answer every error in TGI's form."""

    @app.exception_handler(ArchloopError)
    async def deliberate(_: Request, error: ArchloopError) -> JSONResponse:
        return JSONResponse(body_of(error), status_of(error))

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        form = _ROUTING.get(error.status_code, _Form(error.status_code, "request"))
        return JSONResponse({"error": str(error.detail), "error_type": form.error_type}, form.status, error.headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        body = {"error": f"Input validation error: {problem(error.errors()[0])}", "error_type": "validation"}
        return JSONResponse(body, 422)
