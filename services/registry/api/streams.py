"""Server-sent events: everything that is recorded, as it is recorded."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header
from sse_starlette import EventSourceResponse, ServerSentEvent

from archloop.contracts.base import RunId
from services.registry.api.ports import RunPath, StoreDep
from services.registry.api.problems import NOT_FOUND
from services.registry.api.runs import existing_run
from services.registry.records import Event
from services.registry.store import Store

router = APIRouter(tags=["events"])
_POLL_S = 0.3
LastEventId = Annotated[
    int, Header(alias="Last-Event-ID", ge=0, lt=2**63, description="Go on after this event; 0 is from the first.")
]
_ENDLESS = {
    "description": "Never ends. `id` is the event's place in the log, `event` its CloudEvents type, `data` an Event.",
    "content": {"text/event-stream": {"schema": {"$ref": "#/components/schemas/Event"}}},
}
_STREAM: dict[int | str, dict[str, Any]] = {200: _ENDLESS}


@router.get("/events", responses=_STREAM, response_class=EventSourceResponse)
async def stream_events(store: StoreDep, last_event_id: LastEventId = 0) -> EventSourceResponse:
    """All events from the first, or after Last-Event-ID."""
    return EventSourceResponse(follow(store, last_event_id))


@router.get("/runs/{run_id}/events", responses=_STREAM | NOT_FOUND, response_class=EventSourceResponse)
async def stream_run_events(store: StoreDep, run_id: RunPath, last_event_id: LastEventId = 0) -> EventSourceResponse:
    """The run's events from its first, or after Last-Event-ID."""
    await existing_run(store, run_id)
    return EventSourceResponse(follow(store, last_event_id, run_id))


async def follow(store: Store, after: int, run_id: RunId | None = None) -> AsyncIterator[ServerSentEvent]:
    """Events in the order of their recording, without end."""
    while True:
        events = await store.events(after, run_id=run_id, limit=500)
        for event in events:
            after = event.seq
            yield _sent(event)
        if not events:
            await asyncio.sleep(_POLL_S)


def _sent(event: Event) -> ServerSentEvent:
    return ServerSentEvent(event.model_dump_json(), id=str(event.seq), event=event.type)
