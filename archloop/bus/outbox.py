"""What is still to publish for a handled message: kept until the broker takes it, so that no work is done twice."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import structlog

from archloop.bus.port import Delivery
from archloop.contracts.values import sha256_of
from archloop.errors import ArchloopError
from archloop.tasks import cancelled

log = structlog.get_logger(__name__)

End = Literal["handled", "dropped", "retried", "parked", "released"]
Word = Callable[[], Awaitable[None]]

PAUSES_S = (1.0, 2.0, 5.0, 15.0)


@dataclass
class Settlement:
    """How a message ends, and what has to be published before it may be acknowledged."""

    end: End
    words: deque[Word]

    @classmethod
    def of(cls, end: End, words: Iterable[Word] = ()) -> "Settlement":
        """Make one that publishes these words in their order."""
        return cls(end, deque(words))

    async def said(self, delivery: Delivery) -> bool:
        """Publish what is left; return False where the delivery was lost before that.

        A broker that is away, full or refuses is tried again for as long as the delivery is ours: the trouble is not
        the message's, and giving it back would have it handled anew and, in the end, set aside.
        """
        failures = 0
        while self.words:
            try:
                if not await _unless_lost(self.words[0](), delivery):
                    return False
                self.words.popleft()
                failures = 0
            except ArchloopError as error:
                pause_s = PAUSES_S[min(failures, len(PAUSES_S) - 1)]
                failures += 1
                log.warning(
                    "the broker does not take what is to be said; it is kept", error=str(error), again_s=pause_s
                )
                if not await _unless_lost(asyncio.sleep(pause_s), delivery):
                    return False
        return True


@dataclass
class Outbox:
    """The last `limit` messages settled but not acknowledged, by their bytes: the broker delivers them again."""

    limit: int = 256
    _settled: OrderedDict[str, Settlement] = field(default_factory=OrderedDict)

    def keep(self, body: bytes, settled: Settlement) -> None:
        """Keep how the message ends for its next delivery. The oldest makes room, and would be handled anew."""
        self._settled[sha256_of(body)] = settled
        while len(self._settled) > self.limit:
            self._settled.popitem(last=False)

    def take(self, body: bytes) -> Settlement | None:
        """Remove and return how the message ends; None where it is not known."""
        return self._settled.pop(sha256_of(body), None)


async def _unless_lost(work: Awaitable[None], delivery: Delivery) -> bool:
    """Return whether the work was done before the delivery was lost. Raises what the work raises."""
    doing, losing = asyncio.ensure_future(work), asyncio.ensure_future(delivery.lost())
    try:
        await asyncio.wait((doing, losing), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            return False
        doing.result()
        return True
    finally:
        await cancelled(doing, losing)
