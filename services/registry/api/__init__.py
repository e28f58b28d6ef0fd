"""The registry over HTTP: read what is recorded, follow it live, ask for runs and submit candidates.

Reading is open to whoever reaches the port, but for code and data, which need a token where one is set. Writing
publishes messages, as any other system would, and needs the token for it where one is set.
"""

import json
from collections.abc import Collection
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import SecretStr
from pydantic.json_schema import models_json_schema

from archloop import __version__
from archloop.blobs.port import Blobs
from archloop.ops import health, problems
from archloop.ops.health import Watched
from archloop.ops.problems import Problem
from services.registry.api import blobs as blobs_api
from services.registry.api import candidates, requests, runs, scores, steering, streams
from services.registry.api.entry import Deadline, WritersFirst
from services.registry.api.feed import Feed
from services.registry.api.ports import Ports, Publish
from services.registry.counting import Counts
from services.registry.records import Event
from services.registry.stores.port import Store

_ANYWHERE = (
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


class _App(FastAPI):
    """A FastAPI app whose OpenAPI document has the schemas of answers that are not plain JSON, too."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        if self.openapi_schema is None:
            more = (Problem, Event)
            template = "#/components/schemas/{model}"
            _, schemas = models_json_schema([(model, "serialization") for model in more], ref_template=template)
            document = super().openapi()
            document["components"]["schemas"].update(schemas["$defs"])
            _drop_unspoken(document)
        return super().openapi()


def _drop_unspoken(document: dict[str, Any]) -> None:
    """Leave out the schemas that nothing refers to: those of fields that are not told."""
    schemas = document["components"]["schemas"]
    text = json.dumps(document)
    while unspoken := [name for name in schemas if f'schemas/{name}"' not in text]:
        for name in unspoken:
            del schemas[name]
        text = json.dumps(document)


def create(
    store: Store,
    blobs: Blobs,
    publish: Publish,
    *,
    token: SecretStr | None = None,
    read_token: SecretStr | None = None,
    watched: Watched | None = None,
    counts: Counts | None = None,
    base_models: Collection[str] = (),
) -> FastAPI:
    """Make the registry's app.

    Args:
        store: What it reads from.
        blobs: The object store.
        publish: Puts a message on the bus.
        token: Allows to write and to read.
        read_token: Allows to read code and data.
        watched: Tells how the registry does, for probes.
        counts: Tells how many messages wait.
        base_models: Those that runs may ask for; empty for any.

    """
    app = _App(
        title="Archloop registry",
        version=__version__,
        description=__doc__,
        docs_url=None,
        redoc_url=None,
        responses=problems.responses(*_ANYWHERE),
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.ports = Ports(store, blobs, publish, counts or Counts(), token, read_token, base_models)
    app.state.watched = watched or Watched(started=True)
    problems.install(app)
    app.add_middleware(Deadline)
    app.add_middleware(WritersFirst, token=token)
    bounded(app)
    reading = (runs.router, candidates.router, scores.reading, steering.acts, blobs_api.router)
    asking = (requests.router, scores.router, steering.router)
    for router in (*reading, runs.queues, streams.router, *asking, health.router):
        app.include_router(router)
    return app


def bounded(app: FastAPI, request_s: float = 60.0, followers: int = 500) -> Feed:
    """Set how long a request may take, and how many may follow the events; return their feed."""
    app.state.request_s = request_s
    app.state.feed = feed = Feed(app.state.ports.store, followers)
    return feed
