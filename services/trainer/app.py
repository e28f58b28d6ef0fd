"""Composes the trainer service."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from archloop.blobs.port import Blobs
from archloop.bus.consumer import Consumer
from archloop.bus.ended_runs import EndedRuns
from archloop.bus.one_message import OneMessage
from archloop.bus.port import Bus, Subscription
from archloop.bus.rejections import RejectingHandler
from archloop.contracts.topology import TRAINER
from archloop.ops.connecting import broker, bucket, made
from archloop.ops.serve import Served, forever
from services.trainer.handlers import TrainerHandler, rejected
from services.trainer.process import ProcessTuner
from services.trainer.settings import TrainerSettings


@dataclass(frozen=True)
class TrainerApp:
    """Running trainer service; `over` returns when it is to end by itself."""

    subscription: Subscription
    over: Callable[[], Awaitable[None]] = forever


@asynccontextmanager
async def running(
    settings: TrainerSettings, *, bus: Bus, blobs: Blobs, early: bool = True
) -> AsyncIterator[TrainerApp]:
    """Warm up, if `early`, and consume; at the end give the job in hand `grace_s`, then stop it, to be retried."""
    if settings.work_dir is not None:
        made(settings.work_dir, settings.variable("work_dir"))
    async with ProcessTuner(settings, early=early) as tuner:
        handler = TrainerHandler(blobs, tuner, settings.work_dir)
        over = (await EndedRuns.followed(bus)).over
        consumer = Consumer(bus, TRAINER, RejectingHandler(handler, rejected), "trainer", over=over)
        once = OneMessage(consumer.on_delivery, settings.once_within_s) if settings.once_within_s else None
        subscription = await consumer.start(once)
        try:
            yield TrainerApp(subscription, once.over if once else forever)
        finally:
            drained = asyncio.ensure_future(subscription.drain())
            await asyncio.wait({drained}, timeout=settings.grace_s)
            await tuner.close()
            await drained


@asynccontextmanager
async def served(settings: TrainerSettings) -> AsyncIterator[Served]:
    """Run the service on the servers that its settings name."""
    async with broker(settings) as bus:
        blobs = await bucket(settings)
        async with running(settings, bus=bus, blobs=blobs) as app:
            yield Served((app.subscription,), {"broker": bus.ping, "object store": blobs.ping}, over=app.over)
