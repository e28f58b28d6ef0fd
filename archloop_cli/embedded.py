"""All five services in one process: memory bus, SQLite, a directory. The same handlers as in production."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from fastapi import FastAPI

from archloop import telemetry
from archloop.bus.memory import MemoryBus
from archloop.bus.port import Bus, Delivery
from archloop.contracts.base import Message
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import Rejected, RunRequested
from archloop.contracts.spec import RunSpec
from archloop.contracts.topology import QUEUES, Queue
from archloop.ops.settings import ServiceSettings
from archloop_cli.layout import Layout
from archloop_cli.turns import in_turn
from archloop_lab.placement import Role
from archloop_lab.run_directory import RunDirectory
from services.evaluator import app as evaluator
from services.generator import app as generator
from services.generator.backends.on_demand import OnDemand
from services.novelty import app as novelty
from services.novelty.settings import NoveltySettings
from services.registry import app as registry
from services.registry.settings import RegistrySettings
from services.registry.stores.port import Store
from services.trainer import app as trainer

_REJECTIONS = Queue("rejections", tuple(kind.name for kind in get_args(Rejected)), prefetch=100)


@dataclass(frozen=True)
class Loop:
    """A running closed loop: where to ask for runs, where to read what became of them, and what no service can do."""

    bus: Bus
    store: Store
    rejected: list[Message]
    api: FastAPI

    async def request(self, run_id: str, spec: RunSpec) -> None:
        """Ask for a run as another system would: by a message."""
        await self.bus.publish(Envelope.of(RunRequested(run_id=run_id, spec=spec), source="cli"))

    async def settled(self) -> None:
        """Return when no message is waiting or in hand."""
        while any([await self.bus.depth(queue) for queue in QUEUES]):
            await asyncio.sleep(0.05)

    async def finished(self, run_id: str) -> str | None:
        """Return the reason why the run is over, or None while it goes on."""
        run = await self.store.run(run_id)
        return run.reason if run is not None else None


@asynccontextmanager
async def composed(directory: Path, layout: Layout) -> AsyncIterator[Loop]:
    """Bring the loop up around the state in `directory`; on the way out everything stops and nothing is lost."""
    bus = MemoryBus(parked=directory / "parked")
    for queue in QUEUES:
        await bus.declare(queue)
    run = RunDirectory(directory)
    blobs, store = run.blobs, run.store()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        stack.push_async_callback(bus.close)
        backend, turns = layout.backend, layout.turns()
        stack.push_async_callback(backend.close)
        if isinstance(backend, OnDemand):
            await backend.start()
        seen = {role: in_turn(bus, turns, role) for role in Role}
        controller, judge = RegistrySettings(), NoveltySettings(store=directory / "novelty.sqlite")
        stack.enter_context(telemetry.sending(_collectors(controller, judge, layout)))
        services = (
            trainer.running(layout.trainer, bus=seen[Role.TRAIN], blobs=blobs, early=layout.trains),
            novelty.running(judge, bus=bus, blobs=blobs),
            evaluator.running(layout.evaluator, bus=seen[Role.EVALUATE], blobs=blobs, results=store),
            generator.running(layout.generator, bus=seen[Role.SERVE], blobs=blobs, backend=backend),
        )
        rejected = await _rejections(bus)
        for service in services:
            await stack.enter_async_context(service)
        controlling = registry.running(controller, bus=bus, blobs=blobs, store=store)
        yield Loop(bus, store, rejected, (await stack.enter_async_context(controlling)).api)


def _collectors(controller: RegistrySettings, judge: NoveltySettings, layout: Layout) -> dict[str, str | None]:
    """Return where the spans of each service go: where its own setting says, else where the registry's does."""
    services: tuple[ServiceSettings, ...] = (layout.trainer, judge, layout.evaluator, layout.generator, controller)
    return {each.service: each.traces_endpoint or controller.traces_endpoint for each in services}


async def _rejections(bus: Bus) -> list[Message]:
    """Collect every rejection from now on."""
    heard: list[Message] = []

    async def hear(delivery: Delivery) -> None:
        heard.append(Envelope.parse(delivery.body).message())
        await delivery.ack()

    await bus.declare(_REJECTIONS)
    await bus.subscribe(_REJECTIONS, hear)
    return heard
