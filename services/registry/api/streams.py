"""Server-sent events: everything that is recorded, as it is recorded."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from sse_starlette import EventSourceResponse
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from archloop.contracts.base import RunId
from archloop.errors import ArchloopError
from services.registry.api.feed import Feed
from services.registry.api.ports import RunPath, StoreDep
from services.registry.api.problems import NOT_FOUND
from services.registry.api.runs import existing_run

router = APIRouter(tags=["events"])
_SEND_S = 30.0
LastEventId = Annotated[
    int, Header(alias="Last-Event-ID", ge=0, lt=2**63, description="Go on after this event; 0 is from the first.")
]
_ENDLESS = {
    "description": "Never ends. `id` is the event's place in the log, `event` its CloudEvents type, `data` an Event.",
    "content": {"text/event-stream": {"schema": {"$ref": "#/components/schemas/Event"}}},
}
_STREAM: dict[int | str, dict[str, Any]] = {200: _ENDLESS}


def _feed(request: Request) -> Feed:
    feed: Feed = request.app.state.feed
    return feed


FeedDep = Annotated[Feed, Depends(_feed)]


class EventStream(EventSourceResponse):
    """Follows the feed from a place until the client goes, or reads nothing for too long.

    A follower is one from its first byte to its last, however it ends.
    """

    def __init__(self, feed: Feed, after: int, run_id: RunId | None = None) -> None:
        super().__init__(_events(feed, after, run_id), send_timeout=_SEND_S)
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Busy before anything is said."""
        with self._feed.followed(), suppress(SendTimeoutError):
            await super().__call__(scope, receive, send)


@router.get("/events", responses=_STREAM, response_class=EventSourceResponse)
async def stream_events(feed: FeedDep, last_event_id: LastEventId = 0) -> EventStream:
    """All events from the first, or after Last-Event-ID. Where too many follow already: 503."""
    return EventStream(feed, last_event_id)


@router.get("/runs/{run_id}/events", responses=_STREAM | NOT_FOUND, response_class=EventSourceResponse)
async def stream_run_events(
    feed: FeedDep, store: StoreDep, run_id: RunPath, last_event_id: LastEventId = 0
) -> EventStream:
    """The run's events from its first, or after Last-Event-ID. Where too many follow already: 503."""
    await existing_run(store, run_id)
    return EventStream(feed, last_event_id, run_id)


async def _events(feed: Feed, after: int, run_id: RunId | None) -> AsyncIterator[bytes]:
    """In the order of their recording; it ends where they cannot be read, and a client asks again after the last."""
    with suppress(ArchloopError):
        while True:
            data, after = await feed.after(after, run_id)
            if data:
                yield data
