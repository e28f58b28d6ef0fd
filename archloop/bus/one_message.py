"""A consumer for one message: a job that a scaler starts for each message that waits."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from archloop.bus.port import Callback, Delivery


@dataclass
class OneMessage:
    """Hands the first delivery to `callback`, and releases those after it for other consumers.

    It is over after that one, or where none came in `within_s` seconds.
    """

    callback: Callback
    within_s: float
    _taken: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _ended: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def __call__(self, delivery: Delivery) -> None:
        """Handle the delivery if it is the first, else release it."""
        if self._taken.is_set():
            await delivery.release()
            return
        self._taken.set()
        try:
            await self.callback(delivery)
        finally:
            self._ended.set()

    async def over(self) -> None:
        """Return when the one delivery is handled, or none came in time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._taken.wait(), self.within_s)
        if self._taken.is_set():
            await self._ended.wait()
