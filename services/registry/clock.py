"""The registry's clock: looks at every run that is new to this process, or silent, or has room for more."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

import structlog

from archloop.bus.consumer import Consumer
from archloop.bus.port import Bus
from archloop.contracts.topology import EVALUATOR, GENERATOR, NOVELTY, Queue
from archloop.errors import ArchloopError
from services.registry.active import Active
from services.registry.controller import Controller
from services.registry.records import Step, utc_now
from services.registry.store import Store

log = structlog.get_logger(__name__)

_ANSWERED_IN: Mapping[Step, Queue] = {"generation": GENERATOR, "evaluation": EVALUATOR, "judgement": NOVELTY}
_BEHIND_S = 30.0
_AT_ONCE = 8


@dataclass
class Clock:
    """Ticks for a registry that leads."""

    active: Active
    controller: Controller
    store: Store
    _behind_since: float | None = None

    async def tick(self) -> None:
        """Not while messages wait or one is in hand, unless that goes on and on."""
        speaker = self.active.speaker
        if speaker is None or not self.active.leadership.leading:
            return
        if not self.controller.caught_up:
            self.controller.caught_up = await self.active.caught_up()
        if await self._behind(speaker):
            return
        await look_at_all(speaker, self.controller, self.store)

    async def _behind(self, speaker: Consumer) -> bool:
        if not await speaker.bus.depth(speaker.queue):
            self._behind_since = None
            return False
        self._behind_since = self._behind_since or monotonic()
        if monotonic() - self._behind_since < _BEHIND_S:
            return True
        self._behind_since = None
        return False


async def tick(consumer: Consumer, controller: Controller, store: Store) -> None:
    """Look at every run that is due.

    Not while messages wait or one is in hand: what a run seems to lack may be among them, and to ask for it again would
    only make more of them. A registry that keeps up has a moment without any.
    """
    if not await consumer.bus.depth(consumer.queue):
        await look_at_all(consumer, controller, store)


async def look_at_all(consumer: Consumer, controller: Controller, store: Store) -> None:
    """A few runs at a time, so that a large one does not hold up the others."""
    waiting = {step: await _ready(consumer.bus, queue) for step, queue in _ANSWERED_IN.items()}
    controller.pace(waiting["generation"] + waiting["evaluation"])
    busy = frozenset(step for step, count in waiting.items() if count)
    turns = asyncio.Semaphore(_AT_ONCE)

    async def look(run_id: str) -> None:
        async with turns:
            with logged("look at run", run_id=run_id):
                await consumer.emit(await controller.look(run_id, utc_now(), busy))

    due = [run_id for run_id in await store.unfinished() if controller.quiet(run_id, utc_now())]
    await asyncio.gather(*map(look, due))


async def _ready(bus: Bus, queue: Queue) -> int:
    """None where that cannot be told, which must not hold up the runs."""
    try:
        return await bus.ready(queue)
    except ArchloopError as error:
        log.warning("not counted", queue=queue.name, error=str(error))
        return 0


@contextmanager
def logged(what: str, **context: str) -> Iterator[None]:
    """The clock goes on whatever happens; the next tick tries again."""
    try:
        yield
    except ArchloopError as error:
        log.warning("failed, will try again", what=what, error=str(error), **context)
    except Exception:
        log.exception("failed, will try again", what=what, **context)
