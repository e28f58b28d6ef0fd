"""Which runs are over, so that what still waits for them is dropped at the door."""

from typing import Self

from archloop.bus.port import Bus
from archloop.contracts.base import Message
from archloop.contracts.envelope import Envelope, MalformedMessage
from archloop.contracts.topology import ENDS


class Ends:
    """What the log of ends tells. A run is known by its name and its birth: of a name given again, nothing is over."""

    def __init__(self) -> None:
        self._over: set[tuple[str, str]] = set()

    @classmethod
    async def followed(cls, bus: Bus) -> Self:
        """As far as it is known now, and from now on."""
        ends = cls()
        await bus.follow(ENDS, ends.listen)
        return ends

    def listen(self, body: bytes) -> None:
        """Take in what the log holds; what cannot be read there says nothing."""
        try:
            message = Envelope.parse(body).message()
        except MalformedMessage:
            return
        if message.run_uid is not None:
            self._over.add((message.run_id, message.run_uid))

    def over(self, message: Message) -> bool:
        """Whether nobody waits for an answer any more. A submission is of no run, and always waited for."""
        return message.run_uid is not None and (message.run_id, message.run_uid) in self._over
