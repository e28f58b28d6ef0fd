"""The registry as a process: the consumer of every message, the clock, and the HTTP API where a port is set."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import structlog
from fastapi import FastAPI

from archloop.blobs.port import Blobs
from archloop.bus.consumer import Consumer
from archloop.bus.port import Bus, Subscription
from archloop.contracts.base import Message
from archloop.contracts.topology import QUEUES, REGISTRY
from archloop.errors import ArchloopError
from services.registry.api import create
from services.registry.api.ports import Publish
from services.registry.controller import Controller, Patience
from services.registry.handlers import RegistryHandler, utc_now
from services.registry.serving import serving
from services.registry.settings import RegistrySettings
from services.registry.store import Store

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RegistryApp:
    """A running registry. `url` is null where no port is set."""

    store: Store
    controller: Controller
    subscription: Subscription
    api: FastAPI
    url: str | None


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
    api = create(store, blobs, _publisher(consumer), token=settings.token, alive=lambda: subscription.alive)
    clock = asyncio.create_task(_tick_forever(settings.tick_s, consumer, controller, store))
    try:
        async with serving(api, settings) as url:
            yield RegistryApp(store, controller, subscription, api, url)
    finally:
        clock.cancel()
        with suppress(asyncio.CancelledError):
            await clock
        await subscription.drain()


def _publisher(consumer: Consumer) -> Publish:
    async def publish(message: Message) -> None:
        await consumer.emit([message])

    return publish


def _patience(settings: RegistrySettings) -> Patience:
    return Patience(settings.patience_s, settings.training_patience_s, settings.echo_s, settings.asks)


async def _tick_forever(interval_s: float, consumer: Consumer, controller: Controller, store: Store) -> None:
    while True:
        with _logged("tick"):
            await tick(consumer, controller, store)
        await asyncio.sleep(interval_s)


async def tick(consumer: Consumer, controller: Controller, store: Store) -> None:
    """Look at every run that is new to this process, or silent.

    A run that is new is left alone while messages wait: what it seems to lack may be among them.
    """
    for run in (await store.runs(unfinished=True)).items:
        if not controller.knows(run.run_id) and await consumer.bus.depth(consumer.queue):
            continue
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
