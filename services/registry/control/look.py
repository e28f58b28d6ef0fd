"""The state of one look at one run: the run, what was published for it before, and what is to be published now."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from archloop.blobs.port import Blobs
from archloop.contracts.base import Message
from archloop.contracts.messages import RunFinished
from archloop.errors import Unavailable
from services.registry.control.conversation import Conversation, Key, key_of
from services.registry.control.progress import Front
from services.registry.records import Cycle, Run, Step
from services.registry.stores.port import Store


class Limits(NamedTuple):
    """Seconds of silence before an answer is asked for again, and how often it is before it is given up."""

    answer_s: float
    training_s: float
    asks: int


class Circumstances(NamedTuple):
    """The circumstances of a look.

    `anew`: nothing that was asked before has outlived it, so that all is to be asked for again. `resumed`: others went
    on meanwhile, but what the process before had claimed and not published is to be published. `busy` are the steps for
    which requests wait to be taken up: one more would change nothing.
    """

    anew: bool = False
    resumed: bool = False
    busy: frozenset[Step] = frozenset()


@dataclass
class Look:
    """Collects the messages to publish. After too long a wait (`silent`) the rows count, and not what was heard.

    `run` is as the cycle that is looked at has it, `asked_for` as it was asked for.
    """

    store: Store
    blobs: Blobs
    asked_for: Run
    now: datetime
    limits: Limits
    conversation: Conversation
    circumstances: Circumstances
    messages: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.run = self.asked_for
        self.silence_s = self.conversation.silence_s(self.now)
        self.silent = self.conversation.silent(self.now)

    def at(self, cycle: Cycle) -> None:
        """Look at the run as this cycle has it."""
        self.run = self.asked_for.at(cycle)

    @property
    def run_id(self) -> str:
        """The run's name."""
        return self.run.run_id

    @property
    def first(self) -> bool:
        """Whether this process has not looked at the run before."""
        return self.circumstances.anew or self.circumstances.resumed

    def say(self, message: Message, *, unasked: bool, counts: bool = True) -> None:
        """Publish the message, unless it was published and its answer has time left."""
        if self.due(key_of(message), unasked=unasked):
            self.append(message, counts=counts)

    def ask_again(self, message: Message, step: Step, *, unasked: bool) -> None:
        """Publish the request as `say` does, or only count it where the one before still waits in its queue."""
        key = key_of(message)
        if step in self.circumstances.busy and not unasked and self.due(key, unasked=False):
            self.conversation.waits(key, self.now)
        else:
            self.say(message, unasked=unasked)

    async def claimed(self, scope: str, front: Front, room: int) -> range:
        """Claim the next `room` indices to ask for. Raises Unavailable where another registry has asked for them."""
        start, stop = front.asked, front.asked + room
        if not await self.store.claim(self.run.uid, scope, start, stop):
            raise Unavailable(f"run {self.run_id}: another registry has asked for what comes next")
        front.asked = stop
        return range(start, stop)

    async def unsaid(self, requests: Iterable[Message]) -> set[str]:
        """Return the ids of those requests that are claimed, and not known to have been made."""
        if not self.first:
            return set()
        ids = [request.id for request in requests]
        return set(ids) if self.circumstances.anew else await self.store.unsaid(ids)

    def due(self, key: Key, *, unasked: bool) -> bool:
        """Return whether it is time to ask."""
        return self.conversation.due(key, self.silence_s, unasked=unasked)

    def unheard(self, key: Key) -> bool:
        """Return whether it was asked in vain as often as the limits allow."""
        return self.silent and self.conversation.in_vain(key, self.silence_s, self.limits.asks)

    def append(self, message: Message, *, counts: bool = True, patience_s: float | None = None) -> None:
        """Publish the message in any case."""
        self.conversation.said(message, self.now, counts=counts, patience_s=patience_s)
        self.messages.append(message)

    def finish(self, reason: str) -> None:
        """End the run, whatever is heard until that message has come back to us."""
        self.conversation.end = reason
        self.say(RunFinished(run_id=self.run_id, run_uid=self.run.uid, reason=reason), unasked=True)
