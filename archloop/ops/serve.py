"""Runs a service as a process of its own: settings, logs, HTTP, signals, and one clear line where it cannot start."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from archloop import __version__, telemetry
from archloop.bus.port import Subscription
from archloop.errors import ArchloopError
from archloop.ops import health, logging
from archloop.ops.http import listening
from archloop.ops.settings import ServiceSettings
from archloop.sanitising import plain

log = structlog.get_logger(__name__)

S = TypeVar("S", bound=ServiceSettings)


async def forever() -> None:
    """Wait until cancelled."""
    await asyncio.Event().wait()


@dataclass(frozen=True)
class Served:
    """A service that is up: its consumers, a ping for each thing that it needs, and its own API where it has one.

    It ends when `over` returns, or on a signal.
    """

    subscriptions: Sequence[Subscription]
    needs: Mapping[str, health.Ping]
    api: FastAPI | None = None
    over: Callable[[], Awaitable[None]] = forever


Compose = Callable[[S], AbstractAsyncContextManager[Served]]


def main(settings_class: type[S], compose: Compose[S]) -> int:
    """Serve until SIGTERM or SIGINT, finish what is in hand, and return the exit code."""
    return once(settings_class, partial(_serve, compose))


def once(settings_class: type[S], job: Callable[[S], Coroutine[Any, Any, None]]) -> int:
    """Do a job with a service's settings and logs, and return the exit code.

    What is wrong with settings or servers is one line on standard error that names the setting.
    """
    try:
        settings = settings_class.load()
        logging.configure(level=settings.log_level, json=settings.log_json)
        collectors = {settings.service: settings.traces_endpoint}
        with suppress(asyncio.CancelledError), telemetry.sending(collectors):
            asyncio.run(job(settings))
    except ArchloopError as error:
        sys.stderr.write(f"error [{error.code}] {plain(error)}\n")  # noqa: TID251
        return 1
    return 0


async def _serve(compose: Compose[S], settings: S) -> None:
    _end_on_signals()
    watched = health.Watched()
    front = _Front(_app(settings.service, watched))
    port = settings.own_port if settings.port is None else settings.port
    async with (
        listening(front, settings.host, port, settings.variable("port"), settings.doors()) as url,
        compose(settings) as served,
    ):
        watched.begin(served.subscriptions, served.needs)
        if served.api is not None:
            served.api.state.watched = watched
            front.app = served.api
        log.info("serving", service=settings.service, version=__version__, url=url)
        try:
            await served.over()
        finally:
            log.info("ending: finishing what is in hand", service=settings.service)


@dataclass
class _Front:
    """An exchangeable app: one for probes until the service is up, then the service's own, which has probes too."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def _app(service: str, watched: health.Watched) -> FastAPI:
    app = FastAPI(title=f"Archloop {service}", version=__version__, openapi_url=None)
    app.state.watched = watched
    app.include_router(health.router)
    return app


def _end_on_signals() -> None:
    """Cancel the serving on SIGTERM and SIGINT, so that every open context drains and closes in its order."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, task.cancel)
