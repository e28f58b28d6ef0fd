"""A consumer for one message: a job that a scaler starts for each message that waits."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from archloop.bus.port import Callback, Delivery


@dataclass
class Once:
    """Hands the first delivery to `callback`; those after it go back to the broker, for somebody else.

    It is over after that one, or where none came in `within_s` seconds.
    """

    callback: Callback
    within_s: float
    _taken: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _ended: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def __call__(self, delivery: Delivery) -> None:
        """See Callback."""
        if self._taken.is_set():
            await delivery.release()
            return
        self._taken.set()
        try:
            await self.callback(delivery)
        finally:
            self._ended.set()

    async def over(self) -> None:
        """Return when it is."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._taken.wait(), self.within_s)
        if self._taken.is_set():
            await self._ended.wait()
