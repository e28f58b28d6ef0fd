"""Summaries of the runs that are looked at: what is closed of a run is read once, however often it is shown."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from services.registry.page.library import Entry
from services.registry.statistics.summary import Read, Reading

_KEPT = 16
# What a lost candidate answers late is seen by then.
_KEPT_S = 600.0
# Of a run that takes long to read a summary is shown for so many times as long as that took.
_REST = 9


@dataclass
class _Looked:
    """A run that is looked at: what was read of it last, when that was, and how long it took."""

    reading: Reading
    began: float = field(default_factory=time.monotonic)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    last: Read | None = None
    ended: float = 0.0
    took: float = 0.0

    async def read(self, entry: Entry) -> Read:
        """Read it, unless that was done a short while ago."""
        async with self.lock:
            now = time.monotonic()
            if self.last is None or now - self.ended > _REST * self.took or self._has_gone_on(entry, self.last):
                self.last = await self.reading.read()
                self.ended = time.monotonic()
                self.took = self.ended - now
            return self.last

    @staticmethod
    def _has_gone_on(entry: Entry, last: Read) -> bool:
        """Return whether the run came to an end, or another state, since."""
        return (entry.run.status, entry.run.finished) != (last.summary.status, last.summary.finished)


class Summaries:
    """The readings of the runs that were looked at last."""

    def __init__(self) -> None:
        self._looked: OrderedDict[str, _Looked] = OrderedDict()

    async def read(self, entry: Entry) -> Read:
        """Summarise the run as it is now, or was a moment ago; whoever asks at once waits for the same reading."""
        looked = self._looked.get(entry.key)
        if looked is None or time.monotonic() - looked.began > _KEPT_S:
            looked = _Looked(Reading(entry.shelf.store, entry.run.run_id))
        self._looked[entry.key] = looked
        self._looked.move_to_end(entry.key)
        while len(self._looked) > _KEPT:
            self._looked.popitem(last=False)
        return await looked.read(entry)
