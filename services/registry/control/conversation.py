"""What this process has asked for, for one run, and what it has heard. What must outlive it is in the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from archloop.contracts.base import CandidateMessage, Message, candidate_id
from archloop.contracts.messages import (
    CandidateEvaluatedFailed,
    CandidateEvaluatedOk,
    CandidateGenerated,
    CandidateJudged,
    CandidateLost,
    EvaluationRejected,
    GenerationRejected,
    GenerationRequested,
    JudgementRejected,
    Rejected,
    TrainingRejected,
    TrainingRequested,
)
from services.registry.acts import NO_EXEMPLARS, Exemplars, RecordedAct, is_paused
from services.registry.control import trial
from services.registry.control.budget import Spent
from services.registry.control.memory.choice import NOTHING, Lessons, Recollection
from services.registry.control.parents import Pool
from services.registry.control.pending import PendingRequest
from services.registry.control.progress import Front, Window
from services.registry.records import Cycle, Run, Step

Key = tuple[object, ...]

ASKED_BY: Mapping[Step, str] = {
    "generation": GenerationRequested.name,
    "evaluation": CandidateGenerated.name,
    "judgement": CandidateEvaluatedOk.name,
}
_REFUSED: Mapping[type[Message], str] = {
    GenerationRejected: GenerationRequested.name,
    EvaluationRejected: CandidateGenerated.name,
    JudgementRejected: CandidateEvaluatedOk.name,
    TrainingRejected: TrainingRequested.name,
}
_ANSWERS = (CandidateGenerated, CandidateEvaluatedOk, CandidateEvaluatedFailed, CandidateJudged, CandidateLost)
_REMINDERS = (CandidateEvaluatedFailed.name, CandidateLost.name)


@dataclass
class OpenCycle:
    """The cycle being written: how far it is, how far it will go, and what was spent before it and on it.

    `run` is as it is asked for this cycle, which after a collapse is otherwise than for the first one.
    `spent` may be too much, as it is what was heard; `over` is why the run's budget is used up, by the rows. `bar` is
    what a candidate has to reach on the first rung of the protocol's ladder.
    """

    cycle: Cycle
    run: Run
    front: Front
    wanted: int
    before: Spent
    spent: Spent
    over: str | None = None
    bar: float | None = None
    parents: Pool = ()
    recollection: Recollection = NOTHING


@dataclass
class Trial:
    """The trial of one adapter: how far it is, and the share of valid candidates once that is known."""

    front: Front
    wanted: int
    valid_rate: float | None = None


@dataclass
class Conversation:
    """The last sign of life of a run, every request that may still be answered, and how far its open cycle is.

    The registry hears its own messages, so one that does not come back within `echo_s` of silence was never published:
    it is published again, less and less often, and does not count. One that came back is asked again after `patience_s`
    of silence. Once `deadline_s` seconds have passed since `begun`, the run is looked at without being told to.
    """

    patience_s: float
    echo_s: float
    last: datetime
    window: Window
    begun: datetime
    deadline_s: float | None = None
    asks: dict[Key, PendingRequest] = field(default_factory=dict)
    open: OpenCycle | None = None
    trials: dict[str, Trial] = field(default_factory=dict)
    rejected: dict[Key, str] = field(default_factory=dict)
    costs: dict[int, Spent] = field(default_factory=dict)
    lessons: Lessons = field(default_factory=dict)
    announced: set[int] = field(default_factory=set)
    sweep: int | None = None
    end: str | None = None
    acts: int = 0
    exemplars: Exemplars = NO_EXEMPLARS

    def heard(self, message: Message, step: Step | None, now: datetime, *, new: bool = True) -> datetime | None:
        """Take in a message of the run; any is a sign of life.

        Args:
            message: The message.
            step: What its candidate awaits now.
            now: When it was heard.
            new: Whether it was recorded for the first time.

        Returns:
            When the message was published, where it is one of ours that comes back.

        """
        self.last = max(self.last, now)
        said = None
        if ask := self.asks.get(key_of(message)):
            ask.published, ask.echoes_missed, said = True, 0, ask.said
        self._take_in(message, step, new=new)
        return said

    def _take_in(self, message: Message, step: Step | None, *, new: bool) -> None:
        if isinstance(message, Rejected):
            self._refused((_REFUSED[type(message)], *message.identity()), message.reason)
        if not isinstance(message, _ANSWERS):
            return
        self._answered(message.candidate_id, step)
        if trial.belongs(message):
            self._tried(message, step)
        elif self.open is not None and self.open.cycle.cycle == message.cycle:
            self.open.front.heard(message.index, step)
            if new:
                self.open.spent = self.open.spent.plus(Spent.of(message))

    def said(self, message: Message, now: datetime, *, counts: bool = True, patience_s: float | None = None) -> None:
        """Note that the message is about to be published."""
        self.last = max(self.last, now)
        ask = self.asks.setdefault(key_of(message), PendingRequest(patience_s or self.patience_s, self.echo_s))
        ask.said = now
        if ask.published:
            ask.count += counts
        else:
            ask.echoes_missed += 1
        ask.published = ask.rejected = False

    def waits(self, key: Key, now: datetime) -> None:
        """Count a request as made again without publishing it, as the one before still waits in its queue."""
        self.last = max(self.last, now)
        self.asks.setdefault(key, PendingRequest(self.patience_s, self.echo_s)).count += 1

    def acted(self, acts: Sequence[RecordedAct], now: datetime) -> None:
        """Note that people did something: what was waited for while the run was paused was not waited for in vain."""
        if len(acts) > self.acts or is_paused(acts):
            self.last, self.acts = max(self.last, now), len(acts)

    def opened(self, known: OpenCycle, run: Run) -> None:
        """Go on with this cycle, of the run as the cycle has it."""
        limits = run.spec.budget.limits()
        self.open, self.window.metered, self.deadline_s = known, bool(limits), limits.get("wall_seconds")

    def shown(self, exemplars: Exemplars) -> None:
        """Forget what was learnt of closed cycles where other exemplars are pinned or banned now."""
        if exemplars != self.exemplars:
            self.lessons, self.exemplars = {}, exemplars

    def closed(self) -> None:
        """Forget the open cycle, which is closed: nobody waits for anything of it any more."""
        self.open, self.sweep = None, None
        self.asks.clear()
        self.rejected.clear()

    def silence_s(self, now: datetime) -> float:
        """Return the seconds since anything was heard or published."""
        return (now - self.last).total_seconds()

    def silent(self, now: datetime) -> bool:
        """Return whether something is due to be asked again."""
        waits = [ask.wait_s for ask in self.asks.values()]
        if len(waits) < self._open_count() or not waits:
            waits.append(self.patience_s)
        return self.silence_s(now) >= min(waits)

    def quiet(self, now: datetime) -> bool:
        """Return whether it is time to look at the run without being told to."""
        if self.deadline_s is not None and (now - self.begun).total_seconds() >= self.deadline_s:
            return True
        swept = self.sweep is not None and all(ask.published for ask in self.asks.values())
        return swept or self.roomy or self.silent(now)

    @property
    def roomy(self) -> bool:
        """Whether more candidates can be asked for, or all of them are there."""
        if self.end is not None:
            return False
        if self.open is not None:
            return _roomy(self.window, self.open.front, self.open.wanted)
        return any(t.valid_rate is None and _roomy(self.window, t.front, t.wanted) for t in self.trials.values())

    def due(self, key: Key, silence_s: float, *, unasked: bool) -> bool:
        """Return whether to ask after such a silence; `unasked` decides for a new request where there is no silence."""
        ask = self.asks.get(key)
        if ask is None:
            return unasked or silence_s >= self.patience_s
        return silence_s >= ask.wait_s

    def in_vain(self, key: Key, silence_s: float, limit: int) -> bool:
        """Return whether this was asked `limit` times in vain."""
        ask = self.asks.get(key)
        return ask is not None and ask.published and ask.count >= limit and silence_s >= ask.wait_s

    def count(self, key: Key) -> int:
        """Return how often this was asked."""
        return self.asks[key].count if key in self.asks else 0

    def _open_count(self) -> int:
        fronts = [each.front for each in self.trials.values()]
        return sum(map(len, [*fronts, self.open.front] if self.open else fronts))

    def _refused(self, key: Key, reason: str) -> None:
        self.rejected[key] = reason
        if ask := self.asks.get(key):
            ask.published = ask.rejected = True

    def _answered(self, candidate: str, step: Step | None) -> None:
        """Forget the requests that the answer makes needless."""
        done = [name for each, name in ASKED_BY.items() if each != step]
        for name in (*done, *(_REMINDERS if step is None else ())):
            self.asks.pop((name, candidate), None)

    def _tried(self, message: CandidateMessage, step: Step | None) -> None:
        scope, index = trial.place(message)
        if index is not None and (known := self.trials.get(scope)):
            known.front.heard(index, None if step == "judgement" else step)


def _roomy(window: Window, front: Front, wanted: int) -> bool:
    return window.room(front, wanted) > 0 if front.asked < wanted else not len(front)


def key_of(message: Message) -> Key:
    """Return what a message is about, within its run."""
    return (message.name, *message.identity())


def key_for(run_id: str, cycle: int, index: int, step: Step) -> Key:
    """Return the key of the request for a step of a candidate."""
    return ASKED_BY[step], candidate_id(run_id, cycle, index)
