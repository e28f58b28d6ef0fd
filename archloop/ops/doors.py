"""What a port checks of a request before it reads its body: whom it is meant for, who sends it, and how large it is.

A page of a foreign site reaches what listens on this machine by a name of its own that leads here (DNS rebinding). Its
Host header tells; for requests that write, its Origin too.
"""

import re
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from archloop.addresses import is_address, is_loopback

MIB = 2**20
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
# Bodies that are read at the same time hold no more than so many of the largest.
_TOGETHER = 2
_DIGITS = 20
_NOT_OURS = "is no name of this server; expected one of this machine, or one that the setting HOSTS lists"


@dataclass(frozen=True)
class Doors:
    """Where a port is bound, the names that it answers to, and the largest body.

    Bound to loopback it answers to loopback's names and to `hosts`. Bound to others it answers to every name where
    `hosts` is empty, else to these, to loopback's, and to addresses, which are nobody's to point elsewhere. An entry
    that begins with a dot stands for all names beneath.
    """

    bound: str = "127.0.0.1"
    hosts: tuple[str, ...] = ()
    body_bytes: int = MIB

    def answers_to(self, host: str) -> bool:
        """Return whether a request with this Host header is meant for this server."""
        return self._any or self._knows(host)

    def takes_from(self, origin: str, host: str) -> bool:
        """Return whether a page of this origin may write: one of this server, or of the host that it writes to."""
        place = urlsplit(origin).netloc if _is_url(origin) else ""
        return place == host if self._any else self._knows(place)

    @property
    def _any(self) -> bool:
        return not self.hosts and not is_loopback(self.bound)

    def _knows(self, host: str) -> bool:
        if not (found := _HOST.fullmatch(host)):
            return False
        name = found[1].lower().rstrip(".")
        if is_loopback(name) or (is_address(name) and not is_loopback(self.bound)):
            return True
        return any(name == each or (each.startswith(".") and name.endswith(each)) for each in self.hosts)


def names(listed: str) -> tuple[str, ...]:
    """Split a setting that lists names with commas."""
    return tuple(each.strip().lower() for each in listed.split(",") if each.strip())


class Guarded:
    """An app that gets only requests which its doors admit; others are answered before their body is read."""

    def __init__(self, app: ASGIApp, doors: Doors) -> None:
        self._app, self._doors, self._held = app, doors, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the app, or answer with a problem (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._admit(scope["method"], Headers(scope=scope))
        except HTTPException as error:
            from archloop.ops.problems import problem  # FastAPI, which a command that only reads settings need not load

            await problem(HTTPStatus(error.status_code), error.detail)(scope, receive, send)
            return
        body = _Counted(receive, self)
        try:
            await self._app(scope, body, send)
        finally:
            self._held -= body.size

    def count(self, size: int, more: int) -> None:
        """Count `more` read bytes of a body that now has `size`. Raises HTTPException where it is too much."""
        self._held += more
        self._fits(size)
        if self._held > _TOGETHER * self._doors.body_bytes:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "too many large bodies at once; try again")

    def _admit(self, method: str, headers: Headers) -> None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._doors.answers_to(host):
            raise HTTPException(HTTPStatus.MISDIRECTED_REQUEST, f"Host: {host!a} {_NOT_OURS}")
        if method not in SAFE and origin is not None and not self._doors.takes_from(origin, host):
            raise HTTPException(HTTPStatus.FORBIDDEN, f"Origin: {origin!a} {_NOT_OURS}")
        length = headers.get("content-length", "0")
        plausible = length.isascii() and length.isdigit() and len(length) < _DIGITS
        self._fits(int(length) if plausible else 0)

    def _fits(self, size: int) -> None:
        if size > (limit := self._doors.body_bytes):
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body may have {limit} bytes at most")


class _Counted:
    """A request's body, counted as it is read."""

    def __init__(self, receive: Receive, guarded: Guarded) -> None:
        self._receive, self._guarded, self.size = receive, guarded, 0

    async def __call__(self) -> Message:
        message = await self._receive()
        if more := len(message.get("body", b"")):
            self.size += more
            self._guarded.count(self.size, more)
        return message


def _is_url(text: str) -> bool:
    try:
        return urlsplit(text).scheme in {"http", "https"}
    except ValueError:
        return False
