"""Summaries of the runs that are looked at: what is closed of a run is read once, however often it is shown."""

import asyncio
import time
from collections import OrderedDict

from services.registry.page.library import Entry
from services.registry.statistics.summary import Read, Reading

_KEPT = 16
# What a lost candidate answers late is seen by then.
_KEPT_S = 600.0


class Summaries:
    """The readings of the runs that were looked at last."""

    def __init__(self) -> None:
        self._readings: OrderedDict[str, tuple[float, Reading, asyncio.Lock]] = OrderedDict()

    async def read(self, entry: Entry) -> Read:
        """Summarise the run as it is now; whoever asks at the same time waits for the same reading."""
        began, reading, lock = self._readings.get(entry.key) or self._begun(entry)
        if time.monotonic() - began > _KEPT_S:
            began, reading, lock = self._begun(entry)
        self._readings[entry.key] = began, reading, lock
        self._readings.move_to_end(entry.key)
        while len(self._readings) > _KEPT:
            self._readings.popitem(last=False)
        async with lock:
            return await reading.read()

    @staticmethod
    def _begun(entry: Entry) -> tuple[float, Reading, asyncio.Lock]:
        return time.monotonic(), Reading(entry.shelf.store, entry.run.run_id), asyncio.Lock()
