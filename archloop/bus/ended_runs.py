"""Which runs are over, so that messages which still wait for them are dropped unhandled."""

from typing import Self

from archloop.bus.port import Bus
from archloop.contracts.base import Message
from archloop.contracts.envelope import Envelope, MalformedMessage
from archloop.contracts.topology import ENDS


class EndedRuns:
    """The runs that the log of ends says are over, by name and uid: a new run under an old name is not over."""

    def __init__(self) -> None:
        self._over: set[tuple[str, str]] = set()

    @classmethod
    async def followed(cls, bus: Bus) -> Self:
        """Read what the log holds now, and go on listening to it."""
        ends = cls()
        await bus.follow(ENDS, ends.listen)
        return ends

    def listen(self, body: bytes) -> None:
        """Take in one message of the log; one that cannot be read is ignored."""
        try:
            message = Envelope.parse(body).message()
        except MalformedMessage:
            return
        if message.run_uid is not None:
            self._over.add((message.run_id, message.run_uid))

    def over(self, message: Message) -> bool:
        """Return whether the message's run is over. A submission belongs to no run, and is never over."""
        return message.run_uid is not None and (message.run_id, message.run_uid) in self._over
