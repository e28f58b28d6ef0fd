"""Composes the registry service: the consumer of every message, the clock, and the HTTP API."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial

import structlog
from fastapi import FastAPI

from archloop.blobs.port import Blobs
from archloop.bus.consumer import Consumer
from archloop.bus.port import Bus, Subscription
from archloop.contracts.topology import QUEUES, REGISTRY
from archloop.ops.connecting import broker, bucket, needed, patiently
from archloop.ops.health import Ping, Watched
from archloop.ops.serve import Served
from archloop.tasks import cancelled
from services.registry import page
from services.registry.api import bounded, create
from services.registry.control.active import Active, Speaker
from services.registry.control.clock import Clock, logged
from services.registry.control.controller import Controller, Patience
from services.registry.control.leadership import Alone, Leased
from services.registry.counting import Counts
from services.registry.handlers import RegistryHandler
from services.registry.page.access import Access
from services.registry.page.library import Shelf, StoreLibrary
from services.registry.page.routing import Desk
from services.registry.settings import RegistrySettings
from services.registry.stores.mongo import MongoStore
from services.registry.stores.port import Store

log = structlog.get_logger(__name__)

_COUNT_S = 15.0
_ALL = "all services"  # in one process
_CANCELLED = 4  # times, two seconds together


@dataclass(frozen=True)
class RegistryApp:
    """A running registry."""

    store: Store
    controller: Controller
    subscription: Subscription
    api: FastAPI


@asynccontextmanager
async def running(settings: RegistrySettings, *, bus: Bus, blobs: Blobs, store: Store) -> AsyncIterator[RegistryApp]:
    """Record and control until the block is left. The store, the bus and the blobs stay the caller's to close.

    Every queue is declared first: a request must not be lost because the service that answers it starts later.
    """
    controller = Controller(store, blobs, _patience(settings), lasting=bus.lasting)
    leadership = Leased(store, settings.lease_s) if bus.lasting else Alone()
    handler = RegistryHandler(store, controller, base_models=settings.served())
    speaker = partial(Speaker, bus, REGISTRY, handler, settings.service, leadership=leadership)
    active = Active(leadership, speaker, controller)
    for queue in QUEUES:
        await bus.declare(queue)
    await active.turn()
    counts, clock = Counts(name=settings.service if bus.lasting else _ALL), Clock(active, controller, store)
    await bus.listen(counts.roster.hear)
    turns_s = min(settings.tick_s, settings.lease_s / 6)
    tasks = [
        asyncio.create_task(_forever("lead", active.turn, turns_s)),
        asyncio.create_task(_forever("tick", clock.tick, settings.tick_s)),
        asyncio.create_task(_forever("count what waits", partial(counts.take, bus), _COUNT_S)),
    ]
    watched = Watched([active], _needs(bus, blobs, store), started=True)
    tokens = {"token": settings.token, "read_token": settings.read_token}
    try:
        say = Consumer(bus, REGISTRY, handler, settings.service).say
        api = create(store, blobs, say, watched=watched, counts=counts, base_models=settings.served(), **tokens)
        feed = bounded(api, settings.request_s, settings.followers)
        library, access = StoreLibrary(Shelf(store, blobs, feed)), Access(**tokens)
        page.install(api, Desk(library, access, counts=counts, watched=watched, ports=api.state.ports, bus=bus))
        with closing(feed):
            yield RegistryApp(store, controller, active, api)
    finally:
        await cancelled(*tasks, times=_CANCELLED)
        if left := sum(not task.done() for task in tasks):
            log.warning("ended amid a look at runs", tasks=left)
        await active.drain()


@asynccontextmanager
async def served(settings: RegistrySettings) -> AsyncIterator[Served]:
    """Run the service on the servers that its settings name."""
    async with broker(settings) as bus, _database(settings) as store:
        blobs = await bucket(settings, make=settings.make_bucket)
        async with running(settings, bus=bus, blobs=blobs, store=store) as app:
            yield Served((app.subscription,), _needs(bus, blobs, store), app.api)


@asynccontextmanager
async def _database(settings: RegistrySettings) -> AsyncIterator[Store]:
    url = needed(settings.mongo_url, settings.variable("mongo_url"), "mongodb://user:password@host:27017")
    store = await patiently(partial(MongoStore.open, url, settings.mongo_database), settings.start_patience_s)
    try:
        yield store
    finally:
        await store.close()


def _needs(bus: Bus, blobs: Blobs, store: Store) -> dict[str, Ping]:
    return {"broker": bus.ping, "object store": blobs.ping, "database": store.ping}


def _patience(settings: RegistrySettings) -> Patience:
    answer_s, training_s = settings.patience_s, settings.training_patience_s
    return Patience(answer_s, training_s, settings.echo_s, settings.asks, settings.window)


async def _forever(name: str, step: Callable[[], Awaitable[None]], interval_s: float) -> None:
    while True:
        with logged(name):
            await step()
        await asyncio.sleep(interval_s)
