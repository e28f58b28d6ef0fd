"""Watches over the queues on the broker: one that is gone is made again, and reported as missing meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog
from aio_pika.abc import AbstractChannel

from archloop.bus.amqp import declaring
from archloop.bus.amqp.link import BrokerRefused, Link
from archloop.bus.port import BusUnavailable, Gone
from archloop.contracts.topology import Log, Queue
from archloop.tasks import cancelled

log = structlog.get_logger(__name__)

LOOK_S = 5.0
_FRESH_S, _LAST_LOOK_S = 0.5, 2.0
_Step = Callable[[AbstractChannel], Awaitable[object]]


@dataclass(frozen=True)
class _Declared:
    """How to ask for a thing, and how to make it; a broker may refuse an `optional` one."""

    require: _Step
    make: _Step
    optional: bool = False


class Topology:
    """The queues that this process declared.

    It looks on a connection that never publishes, for a full broker reads nothing from others.
    """

    def __init__(self, link: Link, look_s: float = LOOK_S) -> None:
        self._link, self._look_s = link, look_s
        self._declared: dict[str, _Declared] = {}
        self._wrong: dict[str, str] = {}
        self._looked: float | None = None
        self._looking, self._wanted, self._ended = asyncio.Lock(), asyncio.Event(), asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    async def declare(self, queue: Queue) -> None:
        """Make the queue exist with all that belongs to it.

        Raises BusUnavailable, and BrokerRefused where it exists with other arguments.
        """
        thing = _Declared(partial(declaring.require, queue=queue), partial(declaring.declare, queue=queue))
        await self._make(queue.name, thing)

    async def delay(self, queue: Queue, delay_ms: int) -> str:
        """Make the delay queue exist, and return its name.

        The one of a replica's own queue goes by itself, and is not watched.
        """
        name = declaring.delay_name(queue, delay_ms)
        make = partial(declaring.declare_delay, queue=queue, delay_ms=delay_ms)
        thing = _Declared(partial(declaring.require_named, name=name), make)
        await (self._do(make) if queue.expires else self._make(name, thing))
        return name

    async def log(self, kept: Log) -> None:
        """Make the log exist, where the broker has streams. Raises BusUnavailable."""
        require = partial(declaring.require_named, name=kept.name)
        thing = _Declared(require, partial(declaring.declare_log, log=kept), optional=True)
        try:
            await self._make(kept.name, thing)
        except BrokerRefused as error:
            log.warning("the broker keeps no log; work of runs that are over is done in vain", error=str(error))

    def start(self) -> None:
        """Look every `look_s` seconds from now on."""
        self._ended.clear()
        self._watch = self._watch or asyncio.create_task(self._forever())

    def hurry(self) -> None:
        """Look at once: something seems to be gone."""
        self._wanted.set()

    async def stop(self) -> None:
        """Stop looking. A look under way is waited for: to break it off would cost the connection."""
        watch, self._watch = self._watch, None
        if watch is not None:
            self._ended.set()
            self._wanted.set()
            await asyncio.wait((watch,), timeout=_LAST_LOOK_S)
            await cancelled(watch)

    async def look(self) -> Mapping[str, str]:
        """Look for every queue, make again those that are gone, and return what was wrong, by name.

        Raises BusUnavailable.
        """
        async with self._looking:
            found = {name: await self._seen_to(name, thing) for name, thing in list(self._declared.items())}
            self._wrong = {name: problem for name, problem in found.items() if problem is not None}
            self._looked = asyncio.get_running_loop().time()
            return self._wrong

    async def seen(self) -> Mapping[str, str]:
        """Return what the last look found wrong, looking anew where that is old. Raises BusUnavailable."""
        now = asyncio.get_running_loop().time()
        if self._looked is None or now - self._looked > 2 * self._look_s:
            return await self.look()
        return self._wrong

    async def _forever(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), self._look_s)
            self._wanted.clear()
            if self._ended.is_set():
                return
            try:
                await self.look()
            except BusUnavailable as error:
                log.warning("cannot look after the queues", error=str(error))
            with suppress(TimeoutError):  # where much is gone, all ask for a look at once
                await asyncio.wait_for(self._ended.wait(), _FRESH_S)

    async def _seen_to(self, name: str, thing: _Declared) -> str | None:
        """Check one queue and mend it; return what was wrong.

        Each is seen to by itself, so that one that cannot be mended does not keep the others from it.
        """
        try:
            try:
                await self._do(thing.require, thing.make)  # bindings, and how it is made, cannot be asked for
            except Gone as error:
                log.warning("gone from the broker, making it again", queue=name, error=str(error))
                await self._do(thing.make)
                return str(error)
        except BrokerRefused as error:
            return None if thing.optional else str(error)
        return None

    async def _make(self, name: str, thing: _Declared) -> None:
        await self._do(thing.make)
        self._declared[name] = thing

    async def _do(self, *steps: _Step) -> None:
        async with self._link.briefly() as channel, asyncio.timeout(self._link.timeout_s):
            for step in steps:
                await step(channel)
