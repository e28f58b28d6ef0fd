"""Server-sent events: everything that is recorded, as it is recorded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from archloop.contracts.base import RunId
from archloop.errors import ArchloopError
from archloop.ops.problems import NOT_FOUND
from services.registry.api.feed import Feed, Place
from services.registry.api.ports import RunPath, StoreDep
from services.registry.api.runs import existing_run

router = APIRouter(tags=["events"])
_SEND_S = 30.0
PING_S = 15.0
PING = b": so that nobody in between takes it for dead\r\n\r\n"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
LastEventId = Annotated[
    int, Header(alias="Last-Event-ID", ge=0, lt=2**63, description="Go on after this event; 0 is from the first.")
]
_ENDLESS = {
    "description": "Never ends. `id` is the event's place in the log, `event` its CloudEvents type, `data` an Event.",
    "content": {"text/event-stream": {"schema": {"$ref": "#/components/schemas/Event"}}},
}
_STREAM: dict[int | str, dict[str, Any]] = {200: _ENDLESS}


async def _feed(request: Request) -> Feed:
    feed: Feed = request.app.state.feed
    return feed


FeedDep = Annotated[Feed, Depends(_feed)]


class EventStream(StreamingResponse):
    """Follows the feed from a place until the client goes, or takes nothing for too long, or the feed ends.

    It sends `told`, or else the events themselves.
    """

    media_type = "text/event-stream"

    def __init__(
        self, feed: Feed, after: int, run_id: RunId | None = None, told: AsyncIterator[bytes] | None = None
    ) -> None:
        super().__init__(told or events(feed, after, run_id), headers=_HEADERS)
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Send the events (ASGI). Raises Busy before anything is sent."""
        async with self._feed.followed() as place:
            watching = asyncio.create_task(_until_gone(receive, place))
            try:
                await self.stream_response(_in_time(send))
            finally:
                watching.cancel()


@router.get("/events", status_code=200, responses=_STREAM, response_class=EventStream)
async def stream_events(feed: FeedDep, last_event_id: LastEventId = 0) -> EventStream:
    """Send all events from the first, or after Last-Event-ID. Where too many follow already: 503."""
    return EventStream(feed, last_event_id)


@router.get("/runs/{run_id}/events", status_code=200, responses=_STREAM | NOT_FOUND, response_class=EventStream)
async def stream_run_events(
    feed: FeedDep, store: StoreDep, run_id: RunPath, last_event_id: LastEventId = 0
) -> EventStream:
    """Send the run's events from its first, or after Last-Event-ID. Where too many follow already: 503."""
    await existing_run(store, run_id)
    return EventStream(feed, last_event_id, run_id)


async def events(feed: Feed, after: int, run_id: RunId | None) -> AsyncIterator[bytes]:
    """Yield events in the order of their recording; end where they cannot be read, for the client to ask again."""
    with suppress(ArchloopError):
        while True:
            try:
                async with asyncio.timeout(PING_S):
                    data, after = await feed.after(after, run_id)
            except TimeoutError:
                data = PING
            if data:
                yield data


def _in_time(send: Send) -> Send:
    async def sent(message: Message) -> None:
        async with asyncio.timeout(_SEND_S):
            await send(message)

    return sent


async def _until_gone(receive: Receive, place: Place) -> None:
    """Wait until the client disconnects, and close its place. Nothing else that is received matters."""
    with suppress(HTTPException):
        while (await receive())["type"] != "http.disconnect":
            pass
    place.leave()
