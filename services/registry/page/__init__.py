"""The page: what is recorded, and what can be done about it, for people. It reads the same store as the API."""

from fastapi import FastAPI

from services.registry.page.routing import Desk
from services.registry.page.views import (
    candidate,
    candidates,
    lineage,
    operations,
    parked,
    run,
    runs,
    session,
    start,
    steering,
)


def install(app: FastAPI, desk: Desk) -> None:
    """Serve the page from `/page/` of an app, and lead there from `/`."""
    app.state.desk = desk
    views = (runs, run, candidates, candidate, lineage, operations, parked, start, steering)
    for router in (session.open_router, session.router, *(view.router for view in views)):
        app.include_router(router)
