"""What happens before every operation: a writer without a token is refused unread, and every answer has a deadline."""

import asyncio
from http import HTTPStatus

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from archloop.ops.doors import SAFE
from archloop.ops.problems import problem
from services.registry.api.ports import WRITING, Unauthorized, bears

PAGE = "/page/"


class WritersFirst:
    """Requires the token, where one is set, of every request that may write, whichever operation it turns out to be."""

    def __init__(self, app: ASGIApp, token: SecretStr | None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it (ASGI)."""
        if self._may(scope):
            await self._app(scope, receive, send)
        else:
            refusal = problem(HTTPStatus.UNAUTHORIZED, WRITING, Unauthorized.code)
            await refusal(scope, receive, send)

    def _may(self, scope: Scope) -> bool:
        if self._token is None or scope["type"] != "http" or scope["method"] in SAFE:
            return True
        if scope["path"].startswith(PAGE):  # which looks at its session as early
            return True
        return bears(self._token, Headers(scope=scope).get("authorization", ""))


class Deadline:
    """Answers with a 503 where the app has not begun an answer within the seconds that `app.state.request_s` has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under the deadline (ASGI)."""
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
    """Lifts the deadline once an answer has begun: whether that ends is up to the connection."""

    def __init__(self, send: Send, deadline: asyncio.Timeout) -> None:
        self._send, self._deadline = send, deadline

    async def __call__(self, message: Message) -> None:
        if not self._deadline.expired() and self._deadline.when() is not None:
            self._deadline.reschedule(None)
        await self._send(message)
