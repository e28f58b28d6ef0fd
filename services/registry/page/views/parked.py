"""Messages that no retry mended: what is in them, and what to do with them."""

import json
from contextlib import suppress
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from archloop.bus.port import Parked
from archloop.errors import InvalidInput, NotFound
from services.registry.page.rendering import page
from services.registry.page.routing import DeskDep, OperatorRoute, form, frame

router = APIRouter(route_class=OperatorRoute, include_in_schema=False)
_SHOWN = 200


@router.get("/page/parked")
async def list_parked(request: Request, desk: DeskDep) -> Response:
    """List what is parked, oldest first."""
    found = await desk.parked()
    return page("parked.html", **frame(request), total=len(found), parked=found[:_SHOWN])


@router.get("/page/parked/{parked_id}")
async def show(request: Request, desk: DeskDep, parked_id: str) -> Response:
    """Show one message whole."""
    found = next((each for each in await desk.parked() if each.id == parked_id), None)
    if found is None:
        raise NotFound("parked message", parked_id)
    return page("parked_one.html", **frame(request), message=found, body=_body(found))


@router.post("/page/parked")
async def settle(request: Request, desk: DeskDep) -> Response:
    """Hand a message to its service again, or forget it."""
    sent = await form(request)
    verb, parked_id = sent.get("do", ""), sent.get("id", "")
    bus = desk.lot()
    if verb not in {"replay", "drop"}:
        raise InvalidInput("do", verb, "replay or drop")
    await (bus.replay(parked_id) if verb == "replay" else bus.drop(parked_id))
    return RedirectResponse("/page/parked", HTTPStatus.SEE_OTHER)


def _body(parked: Parked) -> str:
    text = parked.body.decode("utf-8", "backslashreplace")
    with suppress(ValueError, RecursionError):
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return text
