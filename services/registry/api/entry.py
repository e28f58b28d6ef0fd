"""What comes before every operation: who may not write is told before the body is read, and nothing takes for ever."""

import asyncio
from http import HTTPStatus

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from archloop.ops.doors import SAFE
from archloop.ops.problems import problem
from services.registry.api.ports import WRITING, Unauthorized, bears


class WritersFirst:
    """Whatever is no mere reading needs the token, where one is set, whichever operation it turns out to be."""

    def __init__(self, app: ASGIApp, token: SecretStr | None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if self._may(scope):
            await self._app(scope, receive, send)
        else:
            refusal = problem(HTTPStatus.UNAUTHORIZED, WRITING, Unauthorized.code)
            await refusal(scope, receive, send)

    def _may(self, scope: Scope) -> bool:
        if self._token is None or scope["type"] != "http" or scope["method"] in SAFE:
            return True
        return bears(self._token, Headers(scope=scope).get("authorization", ""))


class Deadline:
    """An answer begins within the seconds that `app.state.request_s` has, or it is a 503 that says so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seconds: float = scope["app"].state.request_s
        try:
            async with asyncio.timeout(seconds) as deadline:
                await self._app(scope, receive, _Begun(send, deadline))
        except TimeoutError:
            if not deadline.expired():
                raise
            late = problem(HTTPStatus.SERVICE_UNAVAILABLE, f"not answered within {seconds:g} s", "deadline")
            await late(scope, receive, send)


class _Begun:
    """There is no deadline any more once an answer has begun: that it ends is up to the connection."""

    def __init__(self, send: Send, deadline: asyncio.Timeout) -> None:
        self._send, self._deadline = send, deadline

    async def __call__(self, message: Message) -> None:
        if not self._deadline.expired() and self._deadline.when() is not None:
            self._deadline.reschedule(None)
        await self._send(message)
