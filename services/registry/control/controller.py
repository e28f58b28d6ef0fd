"""The run controller: whenever something may have changed, it derives from the rows what to ask for next."""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from archloop import protocols
from archloop.blobs.port import Blobs
from archloop.contracts.base import CandidateMessage, Message
from archloop.contracts.messages import RunFinished
from archloop.errors import ArchloopError, NotFound
from services.registry.acts import paused_s
from services.registry.control import trial
from services.registry.control.conversation import Conversation
from services.registry.control.failures import Failures
from services.registry.control.look import Circumstances, Limits, Look
from services.registry.control.progress import Window
from services.registry.control.reconciliation import Reconciliation
from services.registry.records import Recorded, Run, Step
from services.registry.stores.port import Store

log = structlog.get_logger(__name__)

NOBODY_BUSY: frozenset[Step] = frozenset()


@dataclass(frozen=True)
class Patience:
    """Seconds of a run's silence before a candidate's or the trainer's answer is asked for again, and how often.

    The longest evaluation that the run's protocol allows is added to `answer_s`. With every request the patience
    doubles, up to four times. A request of our own that does not come back to us within `echo_s` is taken for
    unpublished. `asks` is also how often a look at a run may fail. At most `window` candidates of a run are under way.
    """

    answer_s: float = 120.0
    training_s: float = 7200.0
    echo_s: float = 10.0
    asks: int = 5
    window: int = 256

    def limits(self, run: Run) -> Limits:
        """Return the limits for one run, which depend on its protocol."""
        return Limits(self.answer_s + _longest_evaluation_s(run.spec.protocol), self.training_s, self.asks)


class Controller:
    """Reconciles runs with their rows, each in its turn, many at a time. It holds only what it asked for and heard.

    `lasting`: what was published outlives this process. While it is not `caught_up` with what waited for it, it looks
    at no run for the first time: what that seems to lack may be among what waits. All that was published before the
    `horizon` has been heard, for messages come in order.
    """

    def __init__(self, store: Store, blobs: Blobs, patience: Patience = Patience(), *, lasting: bool = False) -> None:
        self._store, self._blobs, self._patience, self.lasting = store, blobs, patience, lasting
        self._conversations: dict[str, Conversation] = {}
        self._uids: dict[str, str] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._failures = Failures(patience.asks)
        self.caught_up, self.horizon = True, datetime.min.replace(tzinfo=UTC)

    async def next(self, run_id: str, now: datetime, busy: frozenset[Step] = NOBODY_BUSY) -> list[Message]:
        """Return what to publish now for this run.

        At the first look that is all that is outstanding, where no earlier request can have outlived the process.
        """
        async with self._locks[run_id]:
            run = await self._store.run(run_id)
            if run is None or run.finished is not None:
                self.ended(run_id)
                return []
            if self._uids.setdefault(run_id, run.uid) != run.uid:
                self._conversations.pop(run_id, None)
                self._uids[run_id] = run.uid
            if not (self.caught_up or self.knows(run_id)) or self._rests(run, now):
                return []
            look = self._look(run, now, busy)
            try:
                await Reconciliation(look).transitions()
            except BaseException:
                self._conversations.pop(run_id, None)
                raise
            self._failures.over(run_id)
            if look.messages and (look.first or look.silent):
                said = Counter(message.name for message in look.messages)
                log.info("run looked at", run_id=run_id, first=look.first, silence_s=look.silence_s, said=dict(said))
            return look.messages

    async def look(self, run_id: str, now: datetime, busy: frozenset[Step] = NOBODY_BUSY) -> list[Message]:
        """Return what to publish now; after an error nothing, and the run's end where looks fail again and again.

        That the database or another server is away does not count: the next look can succeed when it is back.
        """
        try:
            return await self.next(run_id, now, busy)
        except ArchloopError as error:
            log.warning("look failed, will be taken again", run_id=run_id, error=str(error))
            failed = self._failures.add(run_id, error, now) if not error.retryable else None
        except Exception as error:
            log.exception("look failed, will be taken again", run_id=run_id)
            failed = self._failures.add(run_id, error, now)
        return [RunFinished(run_id=run_id, run_uid=self._uids.get(run_id), reason=failed)] if failed else []

    def heard(self, message: Message, recorded: Recorded, now: datetime) -> None:
        """Take in a message that arrived, and what recording it changed."""
        if isinstance(message, CandidateMessage) and message.submission is not None and not trial.belongs(message):
            return
        conversation = self._conversations.get(message.run_id)
        if conversation and (said := conversation.heard(message, recorded.step, now, new=recorded.new)):
            self.horizon = max(self.horizon, said)

    def knows(self, run_id: str) -> bool:
        """Return whether this process has looked at the run."""
        return run_id in self._conversations

    def wants(self, run_id: str) -> bool:
        """Return whether there is room for more candidates of the run, or none is missing any more."""
        conversation = self._conversations.get(run_id)
        return conversation is not None and conversation.roomy

    def quiet(self, run_id: str, now: datetime, acts: int = 0) -> bool:
        """Return whether to look at the run although nothing happened: it is unknown, or silent for too long.

        So it is where there are more acts on record than were looked at.
        """
        if not self._failures.due(run_id, now):
            return False
        conversation = self._conversations.get(run_id)
        return self.caught_up if conversation is None else acts > conversation.acts or conversation.quiet(now)

    def pace(self, waiting: int, behind: int) -> None:
        """Set how much large runs ask for at once: so many requests wait for workers, and so many answers for us."""
        for conversation in self._conversations.values():
            conversation.window.pace(waiting, behind)

    def forget(self) -> None:
        """Forget all runs, to begin from the rows: another registry may have led meanwhile."""
        self._conversations.clear()
        self._uids.clear()

    def ended(self, run_id: str) -> None:
        """Forget the run, which is over."""
        self._conversations.pop(run_id, None)
        self._uids.pop(run_id, None)
        self._failures.over(run_id)

    def _rests(self, run: Run, now: datetime) -> bool:
        """Return whether the run is paused; one that this process has not looked at stays unknown until it goes on."""
        if conversation := self._conversations.get(run.run_id):
            conversation.acted(run.acts, now)
        return run.paused and run.cancelled_by is None

    def _look(self, run: Run, now: datetime, busy: frozenset[Step]) -> Look:
        limits, first = self._patience.limits(run), not self.knows(run.run_id)
        conversation = self._conversations.setdefault(run.run_id, self._begun(run, limits, now))
        circumstances = Circumstances(first and not self.lasting, first and self.lasting, busy)
        return Look(self._store, self._blobs, run, now, limits, conversation, circumstances)

    def _begun(self, run: Run, limits: Limits, now: datetime) -> Conversation:
        budget = run.spec.budget
        window = Window(self._patience.window, metered=bool(budget.limits()))
        began = run.created + timedelta(seconds=paused_s(run.acts, now))
        return Conversation(
            limits.answer_s, self._patience.echo_s, now, window, began, budget.wall_seconds, acts=len(run.acts)
        )


def _longest_evaluation_s(protocol: str) -> float:
    try:
        return protocols.load(protocol).limits.wall_seconds
    except NotFound:
        return 0.0
