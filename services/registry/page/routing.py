"""What every route of the page has in common: who may come in, what errors look like, and what browsers may load."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any, Protocol
from urllib.parse import parse_qsl, quote

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from typing_extensions import override

from archloop.bus.port import Parked
from archloop.errors import ArchloopError, Conflict, InvalidInput
from archloop.ops.doors import SAFE
from archloop.ops.health import Watched
from archloop.ops.problems import status_of
from services.registry.api.ports import Ports
from services.registry.counting import Counts
from services.registry.page.access import COOKIE, Access, Role
from services.registry.page.library import Library
from services.registry.page.rendering import page
from services.registry.page.summaries import StillReading, Summaries

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with none, a browser tells no Origin of the forms that it sends
    "Cross-Origin-Opener-Policy": "same-origin",
}
FORM_TOKEN = "form_token"  # noqa: S105 - the name of a field
LOGOUT = "/page/logout"
_PATIENCE_S = 0.7
_FORM_HEADER = "x-form-token"
_FORM_BYTES = 2**21
_READ_ONLY = "this page only shows what runs have recorded; there is nothing here to operate"


class ParkingLot(Protocol):
    """What the page needs of a bus."""

    async def parked(self, queue: str | None = None) -> list[Parked]:
        """Return the messages set aside for one queue, or for all, oldest first."""

    async def replay(self, *parked_ids: str) -> None:
        """Put parked messages back on their queues, at their first attempt. Raises NotFound."""

    async def drop(self, *parked_ids: str) -> None:
        """Forget parked messages. Raises NotFound."""


@dataclass(frozen=True)
class Desk:
    """What the page works with: the runs that it shows, who may do what, and the process behind it.

    `counts` are of the queues, `watched` is the health of what is needed, by `ports` runs are asked for and steered,
    and messages are parked on the `bus`. A page over directories has none of these, and operates nothing.
    """

    library: Library
    access: Access
    summaries: Summaries = field(default_factory=Summaries)
    counts: Counts = field(default_factory=Counts)
    watched: Watched | None = None
    ports: Ports | None = None
    bus: ParkingLot | None = None

    async def parked(self) -> list[Parked]:
        """Return what is parked, oldest first."""
        return await self.bus.parked() if self.bus is not None else []

    def lot(self) -> ParkingLot:
        """Return where messages are parked. Raises Conflict where there is nothing to operate."""
        if self.bus is None:
            raise Conflict(_READ_ONLY)
        return self.bus


class OpenRoute(APIRoute):
    """A route for everybody: the way in, and files that tell nothing."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            response = await self.refused(request) or await _answered(inner, request)
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            response.headers.setdefault("Cache-Control", "no-store")
            return response

        return handle

    async def refused(self, request: Request) -> Response | None:  # noqa: ARG002 - of those that refuse
        """Return the answer to a request that may not come in."""
        return None


class PageRoute(OpenRoute):
    """A route that only a session comes in by; one that changes something only by a form that was made for it."""

    @override
    async def refused(self, request: Request) -> Response | None:
        return await _refused(request)


class OperatorRoute(PageRoute):
    """A route of what only a running registry can do."""

    @override
    async def refused(self, request: Request) -> Response | None:
        desk: Desk = request.app.state.desk
        if desk.ports is None:
            return _failed(request, HTTPStatus.CONFLICT, _READ_ONLY)
        return await super().refused(request)


async def _refused(request: Request) -> Response | None:
    desk: Desk = request.app.state.desk
    cookie = request.cookies.get(COOKIE)
    request.state.role = role = desk.access.role(cookie)
    request.state.form_token = desk.access.form_token(cookie)
    if role is None:
        return _to_the_login(request)
    if request.method in SAFE:
        return None
    if role != "operate" and request.url.path != LOGOUT:
        return _failed(request, HTTPStatus.FORBIDDEN, "this session may read only; log in with the token for writing")
    given = request.headers.get(_FORM_HEADER) or (await form(request)).get(FORM_TOKEN, "")
    if not desk.access.is_ours(given, cookie):
        return _failed(request, HTTPStatus.FORBIDDEN, "the form is not of this session; reload the page, try again")
    return None


async def _answered(inner: Callable[[Request], Coroutine[Any, Any, Response]], request: Request) -> Response:
    try:
        return await inner(request)
    except StillReading as error:
        return page("reading.html", **frame(request), detail=str(error), headers={"Refresh": "1"})
    except ArchloopError as error:
        return _failed(request, status_of(error), str(error))
    except RequestValidationError as error:
        first = error.errors()[0]
        return _failed(request, HTTPStatus.UNPROCESSABLE_ENTITY, f"{first['loc'][-1]}: {first['msg']}")
    except HTTPException as error:
        return _failed(request, HTTPStatus(error.status_code), str(error.detail))


def _to_the_login(request: Request) -> Response:
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    login = f"/page/login?next={quote(back, safe='')}"
    if "hx-request" in request.headers:
        return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": login})
    return RedirectResponse(login, HTTPStatus.SEE_OTHER)


def _failed(request: Request, status: HTTPStatus, detail: str) -> Response:
    name = "_failed.html" if "hx-request" in request.headers else "failed.html"
    return page(name, status, **frame(request), title=status.phrase, detail=detail)


def frame(request: Request) -> dict[str, Any]:
    """Return what the frame around every view shows."""
    state = request.state
    role: Role | None = getattr(state, "role", None)
    desk: Desk = request.app.state.desk
    return {
        "role": role,
        "open": desk.access.open,
        "served": desk.ports is not None,
        "operates": role == "operate" and desk.ports is not None,
        "form_token": getattr(state, "form_token", ""),
        "path": request.url.path,
    }


def patience(request: Request) -> float | None:
    """Return how many seconds a view waits for what takes long; what goes into a page that is shown waits for all."""
    return None if "hx-request" in request.headers else _PATIENCE_S


async def form(request: Request) -> dict[str, str]:
    """Read the fields of a form as a browser sends them; of equal names the last. Raises InvalidInput."""
    body = bytearray()
    if not hasattr(request.state, "form"):
        async for chunk in request.stream():
            body += chunk
            if len(body) > _FORM_BYTES:
                raise InvalidInput("form", f"more than {_FORM_BYTES} bytes", "less")
        request.state.form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    found: dict[str, str] = request.state.form
    return found


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


async def _library(request: Request) -> Library:
    return (await _desk(request)).library


async def _ports(request: Request) -> Ports:
    desk = await _desk(request)
    if desk.ports is None:
        raise Conflict(_READ_ONLY)
    return desk.ports


DeskDep = Annotated[Desk, Depends(_desk)]
PortsDep = Annotated[Ports, Depends(_ports)]
LibraryDep = Annotated[Library, Depends(_library)]
