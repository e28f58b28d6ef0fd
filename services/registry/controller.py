"""The run controller: whenever something may have changed, it derives from the rows what to ask for next."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from archloop import protocols
from archloop.blobs.port import Blobs
from archloop.contracts.base import CandidateMessage, Message
from archloop.errors import NotFound
from services.registry import trial
from services.registry.conversation import Conversation
from services.registry.reconciliation import Limits, Reconciliation
from services.registry.records import Run
from services.registry.store import Store


@dataclass(frozen=True)
class Patience:
    """Seconds of a run's silence before a candidate's or the trainer's answer is asked for again, and how often.

    The longest evaluation that the run's protocol allows is added to `answer_s`. A request of our own that
    does not come back to us within `echo_s` is taken for unpublished.
    """

    answer_s: float = 120.0
    training_s: float = 7200.0
    echo_s: float = 10.0
    asks: int = 5

    def limits(self, run: Run) -> Limits:
        """The patience with one run."""
        return Limits(self.answer_s + _longest_evaluation_s(run.spec.protocol), self.training_s, self.asks)


class Controller:
    """Reconciles runs with their rows, one at a time. Holds nothing but what it asked for."""

    def __init__(self, store: Store, blobs: Blobs, patience: Patience = Patience()) -> None:
        self._store, self._blobs, self._patience = store, blobs, patience
        self._conversations: dict[str, Conversation] = {}
        self._lock = asyncio.Lock()

    async def next(self, run_id: str, now: datetime) -> list[Message]:
        """What to publish now for this run; everything that is outstanding if this process never looked at it."""
        async with self._lock:
            run = await self._store.run(run_id)
            if run is None or run.finished is not None:
                self._conversations.pop(run_id, None)
                return []
            try:
                return await self._reconciliation(run, now).messages()
            except BaseException:
                self._conversations.pop(run_id, None)
                raise

    def heard(self, message: Message, now: datetime) -> None:
        """A message arrived."""
        if isinstance(message, CandidateMessage) and message.submission is not None and not trial.belongs(message):
            return
        if conversation := self._conversations.get(message.run_id):
            conversation.heard(message, now)

    def knows(self, run_id: str) -> bool:
        """Whether this process has looked at the run."""
        return run_id in self._conversations

    def quiet(self, run_id: str, now: datetime) -> bool:
        """Whether the run should be looked at although nothing happened: it is unknown, or silent for too long."""
        conversation = self._conversations.get(run_id)
        return conversation is None or conversation.quiet(now)

    def _reconciliation(self, run: Run, now: datetime) -> Reconciliation:
        limits = self._patience.limits(run)
        fresh = not self.knows(run.run_id)
        conversation = self._conversations.setdefault(
            run.run_id, Conversation(limits.answer_s, self._patience.echo_s, now, _deadline(run))
        )
        return Reconciliation(self._store, self._blobs, run, now, limits, conversation, fresh)


def _deadline(run: Run) -> datetime | None:
    seconds = run.spec.budget.wall_seconds
    return None if seconds is None else run.created + timedelta(seconds=seconds)


def _longest_evaluation_s(protocol: str) -> float:
    try:
        return protocols.load(protocol).limits.wall_seconds
    except NotFound:
        return 0.0
