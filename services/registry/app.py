"""Composes the registry service: the consumer of every message, the clock, and the HTTP API."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial

import structlog
from fastapi import FastAPI

from archloop.blobs.port import Blobs
from archloop.bus.consumer import Consumer
from archloop.bus.port import Bus, Subscription
from archloop.contracts.topology import QUEUES, REGISTRY
from archloop.errors import ArchloopError
from archloop.ops.connecting import broker, bucket, needed, patiently
from archloop.ops.health import Ping, Watched
from archloop.ops.serve import Served
from services.registry.api import create
from services.registry.controller import Controller, Patience
from services.registry.counting import Counts
from services.registry.handlers import RegistryHandler, utc_now
from services.registry.mongo import MongoStore
from services.registry.settings import RegistrySettings
from services.registry.store import Store

log = structlog.get_logger(__name__)

_COUNT_S = 15.0


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

    Every queue is declared first: what the registry asks for must not fall on the floor because the
    service that answers starts later.
    """
    controller = Controller(store, blobs, _patience(settings))
    consumer = Consumer(bus, REGISTRY, RegistryHandler(store, controller), settings.service)
    for queue in QUEUES:
        await bus.declare(queue)
    subscription = await consumer.start()
    counts = Counts()
    clocks = (_tick_forever(settings.tick_s, consumer, controller, store), _count_forever(counts, bus))
    tasks = [asyncio.create_task(clock) for clock in clocks]
    watched = Watched([subscription], _needs(bus, blobs, store), started=True)
    tokens = {"token": settings.token, "read_token": settings.read_token}
    try:
        api = create(store, blobs, consumer.say, watched=watched, counts=counts, **tokens)
        yield RegistryApp(store, controller, subscription, api)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await subscription.drain()


@asynccontextmanager
async def served(settings: RegistrySettings) -> AsyncIterator[Served]:
    """The service on the servers that its settings name."""
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
    return Patience(settings.patience_s, settings.training_patience_s, settings.echo_s, settings.asks)


async def _tick_forever(interval_s: float, consumer: Consumer, controller: Controller, store: Store) -> None:
    while True:
        with _logged("tick"):
            await tick(consumer, controller, store)
        await asyncio.sleep(interval_s)


async def _count_forever(counts: Counts, bus: Bus) -> None:
    while True:
        with _logged("count what waits"):
            await counts.take(bus)
        await asyncio.sleep(_COUNT_S)


async def tick(consumer: Consumer, controller: Controller, store: Store) -> None:
    """Look at every run that is new to this process, or silent.

    Not while messages wait or one is in hand: what a run seems to lack may be among them, and to ask for it again would
    only make more of them. A registry that keeps up has a moment without any.
    """
    if await consumer.bus.depth(consumer.queue):
        return
    for run in (await store.runs(unfinished=True)).items:
        now = utc_now()
        if controller.quiet(run.run_id, now):
            with _logged("look at run", run_id=run.run_id):
                await consumer.emit(await controller.next(run.run_id, now))


@contextmanager
def _logged(what: str, **context: str) -> Iterator[None]:
    """The clock goes on whatever happens; the next tick tries again."""
    try:
        yield
    except ArchloopError as error:
        log.warning("failed, will try again", what=what, error=str(error), **context)
    except Exception:
        log.exception("failed, will try again", what=what, **context)
