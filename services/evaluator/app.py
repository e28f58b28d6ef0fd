"""Composes the evaluator service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

import structlog

from archloop.blobs.port import Readable
from archloop.bus.consumer import Consumer
from archloop.bus.ended_runs import EndedRuns
from archloop.bus.port import Bus, Subscription
from archloop.bus.rejections import RejectingHandler
from archloop.contracts.topology import EVALUATOR
from archloop.metrics import LEVEL
from archloop.ops.connecting import broker, needed, patiently
from archloop.ops.serve import Served
from services.evaluator import datasets
from services.evaluator.evaluator import Evaluator
from services.evaluator.handlers import EvaluatorHandler, Results, rejected
from services.evaluator.registry_client import RegistryReader
from services.evaluator.sandbox.client import ForkServerSandbox
from services.evaluator.secret import PUBLISHED
from services.evaluator.settings import EvaluatorSettings

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class EvaluatorApp:
    """Running evaluator service."""

    evaluator: Evaluator
    subscription: Subscription


@asynccontextmanager
async def opened_evaluator(settings: EvaluatorSettings) -> AsyncIterator[Evaluator]:
    """Provide an evaluator that scores code without a bus.

    Raises SandboxUnavailable where the machine does not reach the required level.
    """
    sandbox = ForkServerSandbox(settings.devices(), settings.required_level, settings.threads)
    secret = settings.secret()
    load = partial(datasets.load, root=settings.data_dir, secret=secret)
    evaluator = Evaluator(sandbox, load, secret, settings.threads, settings.gpu_memory_fraction)
    try:
        await sandbox.start()
        LEVEL.labels(sandbox.level).set(1)
        yield evaluator
    finally:
        await sandbox.close()
        await evaluator.close()


@asynccontextmanager
async def running(
    settings: EvaluatorSettings, *, bus: Bus, blobs: Readable, results: Results
) -> AsyncIterator[EvaluatorApp]:
    """Consume until the context ends; then finish the work in hand."""
    async with opened_evaluator(settings) as evaluator:
        handler = EvaluatorHandler(evaluator, results, blobs)
        queue = replace(EVALUATOR, prefetch=len(settings.devices()))
        over = (await EndedRuns.followed(bus)).over
        subscription = await Consumer(bus, queue, RejectingHandler(handler, rejected), "evaluator", over=over).start()
        try:
            yield EvaluatorApp(evaluator, subscription)
        finally:
            await subscription.drain()


@asynccontextmanager
async def served(settings: EvaluatorSettings) -> AsyncIterator[Served]:
    """Run the service on the broker that its settings name, with what the registry lets it read.

    Its secret must be set, because replicas that each made their own would score the same code on different images.
    """
    given = needed(settings.heldout_secret, settings.variable("heldout_secret"), "one as `archloop env` makes it")
    if given == PUBLISHED:
        log.warning("the secret of the held-out images is the published one: whoever knows it knows them")
    url = needed(settings.registry_url, settings.variable("registry_url"), "http://registry:8000")
    async with RegistryReader.open(url, settings.registry_token) as registry, broker(settings) as bus:
        await patiently(registry.ping, settings.start_patience_s)
        async with running(settings, bus=bus, blobs=registry, results=registry) as app:
            yield Served((app.subscription,), {"broker": bus.ping, "registry": registry.ping})
