"""Asking for a run: a form, what it will come to, and the request."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import TypeAdapter, ValidationError

from archloop import presets, validation
from archloop.contracts.base import RunId
from archloop.contracts.spec import RunSpec
from archloop.errors import ArchloopError, InvalidInput
from services.registry.api.ports import Ports
from services.registry.api.requests import RunRequest, request_run
from services.registry.page import forecast, forms
from services.registry.page.forecast import Forecast
from services.registry.page.rendering import page
from services.registry.page.routing import Desk, DeskDep, OperatorRoute, PortsDep, form, frame

router = APIRouter(route_class=OperatorRoute, include_in_schema=False)
_NAME = TypeAdapter(RunId)


@router.get("/page/start")
async def ask(request: Request, desk: DeskDep, preset: Annotated[str, Query(max_length=100)] = "demo") -> Response:
    """Show the form, filled in with a preset."""
    return await _form(request, desk, _preset(preset), name=preset)


@router.post("/page/start")
async def start(request: Request, desk: DeskDep, ports: PortsDep) -> Response:
    """Say what the run will come to, or ask for it."""
    sent = await form(request)
    base = _preset(sent.get("from", "demo"))
    values = forms.given(sent, base)
    try:
        spec = validation.checked(RunSpec, values, "spec")
        if sent.get("do") != "start":
            made = await forecast.of(desk.library, spec)
            return await _form(request, desk, values, name=sent.get("name", ""), forecast=made)
        await request_run(ports, RunRequest(run_id=_name(sent.get("name", "")), spec=spec), Response())
    except ArchloopError as error:
        return await _form(request, desk, values, name=sent.get("name", ""), problem=str(error))
    return RedirectResponse(f"/page/runs/{sent['name'].strip()}", HTTPStatus.SEE_OTHER)


def _preset(name: str) -> dict[str, Any]:
    """Read a shipped preset, never a file of that name. Raises InvalidInput."""
    if name not in presets.names():
        raise InvalidInput("preset", name, f"one of {', '.join(presets.names())}")
    return presets.load(name).model_dump(mode="json")


def _name(given: str) -> str:
    try:
        return _NAME.validate_python(given.strip())
    except ValidationError:
        expected = "at most 63 letters, digits, `.`, `_` and `-`, a letter or digit first"
        raise InvalidInput("name", given, expected) from None


async def _form(
    request: Request,
    desk: Desk,
    values: dict[str, Any],
    *,
    name: str,
    problem: str = "",
    forecast: Forecast | None = None,
) -> Response:
    ports: Ports | None = desk.ports
    return page(
        "start.html",
        HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK,
        **frame(request),
        groups=forms.groups(values, ports.base_models if ports else ()),
        presets=presets.names(),
        preset=values.get("preset", ""),
        name=name,
        problem=problem,
        forecast=forecast,
    )
