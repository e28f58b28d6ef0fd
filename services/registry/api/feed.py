"""One source of events for all who follow them: the log's end is read once for all, and pages are shared.

A follower is only a place in the log. One at the log's end waits for the next batch, one that is behind reads a page
from the store, and one that asks for a page which others ask for gets theirs.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import structlog

from archloop.errors import ArchloopError
from archloop.ops.process import give_back
from services.registry.api.pieces import Key, Piece, PieceCache, batch, page
from services.registry.records import Event
from services.registry.stores.port import Store

log = structlog.get_logger(__name__)

_POLL_S = 0.3
_EVENTS = 100
_READERS = 2
_WOKEN_AT_ONCE = 16
# After the last has gone; by then its connection has, too.
_TRIM_S = 1.0


class Busy(ArchloopError):
    """No more clients may follow the events for now; a place may be free later."""

    code = "busy"
    retryable = True


class Place:
    """One follower's place, which can be closed."""

    def __init__(self, stay: asyncio.Timeout) -> None:
        self._stay = stay

    def leave(self) -> None:
        """End what the follower does, whatever it waits for."""
        if not self._stay.expired():
            self._stay.reschedule(asyncio.get_running_loop().time())


class Feed:
    """Follows the log while there are followers."""

    def __init__(self, store: Store, most: int) -> None:
        self._store, self._most, self.places = store, most, set[Place]()
        self._pieces, self._asked = PieceCache(), dict[Key, asyncio.Task[Piece]]()
        self._readers = asyncio.Semaphore(_READERS)
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._head: int | None = None
        self._tail: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[Place]:
        """Follow until the block is left, or the place is closed. Raises Busy where there is one follower too many."""
        if len(self.places) >= self._most:
            raise Busy(f"{self._most} clients follow the events already; try again later, or read what is recorded")
        with suppress(TimeoutError):
            async with asyncio.timeout(None) as stay:
                self.places.add(place := Place(stay))
                self._tail = self._tail or asyncio.create_task(self._follow())
                try:
                    yield place
                finally:
                    self.places.discard(place)
                    if not self.places:
                        self._rest()

    def close(self) -> None:
        """Close all places, and admit no more followers."""
        self._most = 0
        for place in list(self.places):
            place.leave()

    async def after(self, place: int, run_id: str | None = None) -> Piece:
        """Return what comes next, of one run or of all; it may be nothing but a later place. Raises Unavailable."""
        while self._head is None or place >= self._head:
            await self._grown()
        key = Key(run_id, place)
        found = self._pieces.find(key)
        return await self._read(key) if found is None else found

    def _rest(self) -> None:
        assert self._tail is not None
        self._tail.cancel()
        self._tail = self._head = None
        self._pieces = PieceCache()
        asyncio.get_running_loop().call_later(_TRIM_S, give_back)

    async def _grown(self) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[waiting] = None
        try:
            await waiting
        finally:
            self._waiting.pop(waiting, None)

    async def _read(self, key: Key) -> Piece:
        """Read a page once for all who ask for it; whoever asked first may be gone before it is read."""
        task = self._asked.get(key)
        if task is None:
            task = self._asked[key] = asyncio.create_task(self._page(key))
            task.add_done_callback(lambda _: self._asked.pop(key, None))
        return await asyncio.shield(task)

    async def _page(self, key: Key) -> Piece:
        async with self._readers:
            # What is not in a page that is not full is after this.
            end = self._head or 0
            events = await self._store.events(key.after, run_id=key.run_id, limit=_EVENTS)
        whole, piece = page(events, full=len(events) == _EVENTS, end=end)
        if not whole:
            self._pieces.keep(key, piece)
        return piece

    async def _follow(self) -> None:
        while True:
            try:
                if self._head is None:
                    self._head = await self._store.last_event()
                    await self._wake()
                events = await self._store.events(self._head, limit=_EVENTS)
                if events:
                    await self._grow(self._head, events)
            except ArchloopError as error:
                log.warning("events cannot be read, will try again", error=str(error))
                events = []
            if len(events) < _EVENTS:
                await asyncio.sleep(_POLL_S)

    async def _grow(self, head: int, events: Sequence[Event]) -> None:
        self._pieces.keep_batch(head, batch(events))
        self._head = events[-1].seq
        await self._wake()

    async def _wake(self) -> None:
        """Wake followers a few at a time: a thousand at once would hold up everybody else."""
        for number, waiting in enumerate(list(self._waiting), 1):
            if not waiting.done():
                waiting.set_result(None)
            if number % _WOKEN_AT_ONCE == 0:
                await asyncio.sleep(0)
