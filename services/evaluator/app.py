"""The composition of the evaluator."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from archloop.blobs.port import Blobs
from archloop.bus.consumer import Consumer
from archloop.bus.port import Bus, Subscription
from archloop.contracts.topology import EVALUATOR
from services.evaluator import datasets
from services.evaluator.evaluator import Evaluator
from services.evaluator.handlers import EvaluatorHandler, Results
from services.evaluator.sandbox.client import ZygoteSandbox
from services.evaluator.settings import EvaluatorSettings


@dataclass(frozen=True)
class EvaluatorApp:
    """A running evaluator."""

    evaluator: Evaluator
    subscription: Subscription


@asynccontextmanager
async def evaluator(settings: EvaluatorSettings) -> AsyncIterator[Evaluator]:
    """Score code without a bus. Raises SandboxUnavailable below the required level."""
    sandbox = ZygoteSandbox(settings.slots, settings.required_level, settings.threads)
    judge = Evaluator(sandbox, datasets.load, settings.threads)
    try:
        await sandbox.start()
        yield judge
    finally:
        await sandbox.close()
        await judge.close()


@asynccontextmanager
async def running(
    settings: EvaluatorSettings, *, bus: Bus, blobs: Blobs, results: Results
) -> AsyncIterator[EvaluatorApp]:
    """Consume until the context ends; then finish what is in hand."""
    async with evaluator(settings) as judge:
        handler = EvaluatorHandler(judge, results, blobs)
        queue = replace(EVALUATOR, prefetch=settings.slots)
        subscription = await Consumer(bus, queue, handler, "evaluator").start()
        try:
            yield EvaluatorApp(judge, subscription)
        finally:
            await subscription.drain()
