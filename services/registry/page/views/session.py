"""Logging in and out, and the files that every view needs."""

from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import NamedTuple

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from archloop.errors import NotFound
from services.registry.page.access import COOKIE, SESSION_S
from services.registry.page.rendering import page
from services.registry.page.routing import LOGOUT, DeskDep, OpenRoute, PageRoute, form, frame

open_router = APIRouter(route_class=OpenRoute, include_in_schema=False)
router = APIRouter(route_class=PageRoute, include_in_schema=False)
HOME = "/page/runs"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_KEPT = "public, max-age=31536000, immutable"


class _File(NamedTuple):
    content: bytes
    media_type: str


@open_router.get("/", status_code=307)
async def front() -> Response:
    """Lead to the page."""
    return RedirectResponse(HOME)


@open_router.get("/page")
async def page_itself() -> Response:
    """Lead to the page."""
    return RedirectResponse(HOME)


@open_router.get("/page/static/{name}")
async def static(name: str) -> Response:
    """Return a file of the page, which browsers keep until the version changes."""
    if (found := _files().get(name)) is None:
        raise NotFound("file of the page", name)
    return Response(found.content, media_type=found.media_type, headers={"Cache-Control": _KEPT})


@open_router.get("/page/login")
async def login(request: Request, desk: DeskDep) -> Response:
    """Ask for a token."""
    if desk.access.open:
        return RedirectResponse(HOME, HTTPStatus.SEE_OTHER)
    return page("login.html", **frame(request), next=_ours(request.query_params.get("next", "")), problem="")


@open_router.post("/page/login")
async def log_in(request: Request, desk: DeskDep) -> Response:
    """Begin a session, if the token is one of ours."""
    given = await form(request)
    back = _ours(given.get("next", ""))
    role = desk.access.role_of_token(given.get("token", "").strip())
    if role is None:
        return page("login.html", 401, **frame(request), next=back, problem="This is no token of the registry.")
    response = RedirectResponse(back, HTTPStatus.SEE_OTHER)
    secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
    session = desk.access.session(role)
    response.set_cookie(
        COOKIE, session, max_age=SESSION_S, path="/page", secure=secure, httponly=True, samesite="strict"
    )
    return response


@router.post(LOGOUT)
async def log_out() -> Response:
    """End the session."""
    response = RedirectResponse("/page/login", HTTPStatus.SEE_OTHER)
    response.delete_cookie(COOKIE, path="/page")
    return response


def _ours(path: str) -> str:
    """Return where to go on, a view of the page and nothing else."""
    plain = path.isascii() and path.isprintable() and path.startswith("/page/")
    return path if plain and not path.startswith(("/page/login", LOGOUT)) else HOME


@cache
def _files() -> dict[str, _File]:
    folder = files("services.registry.page") / "static"
    theme = files("services.registry.html") / "theme.css"
    found = [*folder.iterdir(), *(folder / "vendor").iterdir(), theme]
    kinds = {each.name: _TYPES.get(f".{each.name.rpartition('.')[2]}") for each in found}
    return {each.name: _File(each.read_bytes(), kind) for each in found if (kind := kinds[each.name]) is not None}
