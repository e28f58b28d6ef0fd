"""The registry's clock: looks at every run that is new to this process, or silent, or has room for more."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from archloop.bus.consumer import Consumer
from archloop.bus.port import Bus
from archloop.contracts.topology import EVALUATOR, GENERATOR, NOVELTY, Queue
from archloop.errors import ArchloopError
from services.registry.control.active import Active
from services.registry.control.controller import Controller
from services.registry.records import Step, utc_now
from services.registry.stores.port import Store

log = structlog.get_logger(__name__)

_ANSWERED_IN: Mapping[Step, Queue] = {"generation": GENERATOR, "evaluation": EVALUATOR, "judgement": NOVELTY}
_AT_ONCE = 8


@dataclass
class Clock:
    """Looks at runs regularly, for a registry that leads."""

    active: Active
    controller: Controller
    store: Store

    async def tick(self) -> None:
        """Look at every run that is due."""
        speaker = self.active.speaker
        if speaker is None or not self.active.leadership.leading:
            return
        if self.controller.lasting and not self.controller.caught_up:
            self.controller.caught_up = await self.active.caught_up()
        await tick(speaker, self.controller, self.store)


async def tick(consumer: Consumer, controller: Controller, store: Store) -> None:
    """Look at every run that is due, a few at a time, so that a large one does not hold up the others.

    While messages wait or one is in hand, what a run seems to lack may be among them, and to ask for it again would
    only make more of them. The time is then taken to be when the last message that came back to us was published.
    """
    behind = await consumer.bus.depth(consumer.queue)
    if not behind:
        controller.horizon = utc_now()
        controller.caught_up = controller.caught_up or not controller.lasting
    now, busy = controller.horizon, await _busy(consumer.bus, controller, behind)
    turns = asyncio.Semaphore(_AT_ONCE)

    async def look(run_id: str) -> None:
        async with turns:
            with logged("look at run", run_id=run_id):
                await consumer.emit(await controller.look(run_id, now, busy))

    acts = await store.acted()
    due = [name for name in await store.unfinished() if controller.quiet(name, now, acts.get(name, 0))]
    await asyncio.gather(*map(look, due))


async def _busy(bus: Bus, controller: Controller, behind: int) -> frozenset[Step]:
    """Return the steps for which requests wait."""
    waiting = {step: await _ready(bus, queue) for step, queue in _ANSWERED_IN.items()}
    controller.pace(waiting["generation"] + waiting["evaluation"], waiting["judgement"] + behind)
    return frozenset(step for step, count in waiting.items() if count)


async def _ready(bus: Bus, queue: Queue) -> int:
    """Return how many messages are ready; 0 where that cannot be told, which must not hold up the runs."""
    try:
        return await bus.ready(queue)
    except ArchloopError as error:
        log.warning("not counted", queue=queue.name, error=str(error))
        return 0


@contextmanager
def logged(what: str, **context: str) -> Iterator[None]:
    """Log an error instead of raising it: the clock goes on whatever happens, and the next tick tries again."""
    try:
        yield
    except ArchloopError as error:
        log.warning("failed, will try again", what=what, error=str(error), **context)
    except Exception:
        log.exception("failed, will try again", what=what, **context)
