"""Composes the novelty service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from archloop.blobs.port import Blobs
from archloop.bus.consumer import Consumer
from archloop.bus.ended_runs import EndedRuns
from archloop.bus.port import Bus, Subscription
from archloop.bus.rejections import RejectingHandler
from archloop.contracts.topology import NOVELTY
from archloop.ops.connecting import broker, bucket, told_as
from archloop.ops.serve import Served
from services.novelty.handlers import NoveltyHandler, rejected
from services.novelty.normalise import VERSION
from services.novelty.settings import NoveltySettings
from services.novelty.shingles import SCHEME
from services.novelty.sqlite import SqliteSignatures


@dataclass(frozen=True)
class NoveltyApp:
    """The handler of a running service, and its subscription."""

    handler: NoveltyHandler
    subscription: Subscription


@asynccontextmanager
async def running(settings: NoveltySettings, *, bus: Bus, blobs: Blobs) -> AsyncIterator[NoveltyApp]:
    """Judge what arrives, until the context is left."""
    with told_as(settings.variable("store")):
        store = SqliteSignatures(settings.store, made_with(settings))
    handler = NoveltyHandler(store, blobs, k=settings.k, permutations=settings.permutations, sizes=settings.sizes)
    try:
        over = (await EndedRuns.followed(bus)).over
        subscription = await Consumer(
            bus, NOVELTY, RejectingHandler(handler, rejected), settings.service, over=over
        ).start()
        try:
            yield NoveltyApp(handler, subscription)
        finally:
            await subscription.drain()
    finally:
        store.close()


@asynccontextmanager
async def served(settings: NoveltySettings) -> AsyncIterator[Served]:
    """Run the service on the servers that its settings name."""
    async with broker(settings) as bus:
        blobs = await bucket(settings)
        async with running(settings, bus=bus, blobs=blobs) as app:
            yield Served((app.subscription,), {"broker": bus.ping, "object store": blobs.ping})


def made_with(settings: NoveltySettings) -> str:
    """Spell out every setting that stored signatures depend on."""
    return (
        f"normaliser={VERSION} sizes={settings.sizes} k={settings.k} "
        f"permutations={settings.permutations} scheme={SCHEME}"
    )
