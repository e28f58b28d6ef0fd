"""Summaries of the runs that are looked at: what is closed of a run is read once, however often it is shown."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from archloop.errors import ArchloopError
from services.registry.page.library import Entry
from services.registry.statistics.summary import Read, Reading

_KEPT = 16
# What a lost candidate answers late is seen by then.
_KEPT_S = 600.0
# Of a run that takes long to read a summary is shown for so many times as long as that took.
_REST = 9


class StillReading(ArchloopError):
    """A run's candidates are being read, which takes longer than who looks should wait."""

    code = "still_reading"
    retryable = True


@dataclass
class _Looked:
    """A run that is looked at: what was read of it last, when that was, and how long it took."""

    reading: Reading
    began: float = field(default_factory=time.monotonic)
    last: Read | None = None
    ended: float = 0.0
    took: float = 0.0
    _under_way: asyncio.Task[None] | None = None

    async def read(self, entry: Entry) -> Read:
        """Read it, unless that was done a short while ago."""
        joined = self._under_way is not None
        if self.last is None or self._is_old() or self._has_gone_on(entry, self.last):
            await self._once()
        if joined and self.last is not None and self._has_gone_on(entry, self.last):
            await self._once()  # what was under way may have begun before the run went on
        assert self.last is not None
        return self.last

    async def _once(self) -> None:
        """Read it together with all who ask, and to the end though nobody waits for it any more.

        A reading that failed while nobody waited is told to the next who asks.
        """
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._take())
        under_way = self._under_way
        try:
            await asyncio.shield(under_way)
        finally:
            if under_way.done() and self._under_way is under_way:
                self._under_way = None

    async def _take(self) -> None:
        began = time.monotonic()
        self.last = await self.reading.read()
        self.ended = time.monotonic()
        self.took = self.ended - began
        self._under_way = None

    def _is_old(self) -> bool:
        return time.monotonic() - self.ended > _REST * self.took

    @staticmethod
    def _has_gone_on(entry: Entry, last: Read) -> bool:
        """Return whether the run came to an end, or another state, since."""
        return (entry.run.status, entry.run.finished) != (last.summary.status, last.summary.finished)


class Summaries:
    """The readings of the runs that were looked at last."""

    def __init__(self) -> None:
        self._looked: OrderedDict[str, _Looked] = OrderedDict()

    async def read(self, entry: Entry, patience_s: float | None = None) -> Read:
        """Summarise the run as it is now, or was a moment ago; whoever asks at once waits for the same reading.

        After `patience_s` seconds it is as it was read last, while it is read on. Raises StillReading if it never was.
        """
        looked = self._looked.get(entry.key)
        if looked is None or time.monotonic() - looked.began > _KEPT_S:
            looked = _Looked(Reading(entry.shelf.store, entry.run.run_id))
        self._looked[entry.key] = looked
        self._looked.move_to_end(entry.key)
        while len(self._looked) > _KEPT:
            self._looked.popitem(last=False)
        try:
            async with asyncio.timeout(patience_s):
                return await looked.read(entry)
        except TimeoutError:
            if patience_s is None:
                raise
        if looked.last is None:
            raise StillReading(f"candidates of {entry.key} are being read")
        return looked.last
