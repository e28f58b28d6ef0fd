"""One look at one run. Only here is the order of the loop known.

    tune on the bootstrap pairs, if there are any → open a cycle → ask for its candidates → all are settled
    → admit and close → ask for training → an adapter is trained → open the next cycle with it → …
    → the last cycle is closed → finished

Each step is derived from rows and leaves a row, so a look may end anywhere and the next one goes on from there.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import reduce
from typing import NamedTuple

import structlog

from archloop.blobs.port import Blobs
from archloop.contracts.base import Message, candidate_id
from archloop.contracts.messages import (
    BOOTSTRAP,
    CandidateEvaluatedOk,
    CandidateGenerated,
    CandidateLost,
    GenerationRequested,
    RunFinished,
    TrainingRequested,
)
from archloop.contracts.values import AdapterRef
from services.registry import budget, pairs, requests, selection, trial
from services.registry.budget import Spent
from services.registry.conversation import Conversation, Key, key_of
from services.registry.progress import Owed, owed, unjudged
from services.registry.records import COMPLETED, Candidate, CandidateQuery, Cycle, Run, Source
from services.registry.store import Store

_WINDOW = 16  # candidates under way at a time where a budget counts; what is under way when it is used up still counts

log = structlog.get_logger(__name__)

_ASKED_BY = {
    "generation": GenerationRequested.name,
    "evaluation": CandidateGenerated.name,
    "judgement": CandidateEvaluatedOk.name,
}


class Limits(NamedTuple):
    """Seconds of silence before an answer is asked for again, and how often it is before it is given up."""

    answer_s: float
    training_s: float
    asks: int


class Reconciliation:
    """`fresh`: this process has not looked at the run before, so nobody may be at work on what is outstanding."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        run: Run,
        now: datetime,
        limits: Limits,
        conversation: Conversation,
        fresh: bool,
    ) -> None:
        self._store, self._blobs, self._run, self._now = store, blobs, run, now
        self._limits, self._conversation, self._fresh = limits, conversation, fresh
        self._silence_s = conversation.silence_s(now)
        self._messages: list[Message] = []

    async def messages(self) -> list[Message]:
        """Make every transition that the rows allow; return what is to be published."""
        cycles = await self._store.cycles(self._run.run_id)
        for closed in cycles[-2:-1]:
            await self._announce(closed)
        cycle: Cycle | None = cycles[-1] if cycles else await self._begin()
        while cycle is not None:
            cycle = await self._advance(cycle)
        return self._messages

    async def _advance(self, cycle: Cycle) -> Cycle | None:
        """One transition. Returns the cycle to look at next, or None when it is others' turn."""
        if cycle.closed is None:
            return await self._settle(cycle)
        await self._announce(cycle)
        spec = self._run.spec
        last = cycle.cycle + 1 >= spec.cycles
        over = self._over(await self._spent(cycle))
        if last or over:
            whole = last and cycle.settled >= spec.candidates
            self._finish(over if over and not whole else COMPLETED)
            return None
        return await self._succeed(cycle)

    async def _settle(self, cycle: Cycle) -> Cycle | None:
        rows = {c.index: c for c in await self._candidates(cycle) if c.index is not None}
        before = await self._before(cycle)
        over = self._over(before.plus(Spent.on(rows.values())))
        waiting = owed(rows, self._begun(cycle, rows) if over else self._wanted(before))
        if over and not rows and not waiting:
            self._finish(over)
            return None
        if not waiting:
            return await self._close(cycle, list(rows.values()))
        if lost := [each for each in waiting if self._in_vain(cycle, each)]:
            for each in lost:
                await self._give_up(cycle, each)
            return cycle
        await self._ask(cycle, rows, waiting)
        return None

    async def _ask(self, cycle: Cycle, rows: Mapping[int, Candidate], waiting: Sequence[Owed]) -> None:
        for place, each in enumerate(waiting):
            if each.step == "generation":
                if self._metered and place >= _WINDOW:
                    break
                self._say(requests.generation(self._run, cycle, each.index), unasked=True)
            elif each.step == "evaluation":
                candidate = rows[each.index]
                self._say(requests.evaluation(self._run, candidate, await self._source(candidate)), unasked=self._fresh)
        blocked = {each.index for each in waiting if each.blocked}
        for candidate in unjudged(rows, waiting):
            reminder = requests.loss(candidate) if candidate.lost else await self._judgement(candidate)
            self._say(reminder, unasked=self._fresh, counts=candidate.index not in blocked)

    @property
    def _metered(self) -> bool:
        return bool(self._run.spec.budget.limits())

    def _over(self, spent: Spent) -> str | None:
        wall_seconds = (self._now - self._run.created).total_seconds()
        return budget.exhausted(self._run.spec.budget, spent, wall_seconds)

    async def _before(self, cycle: Cycle) -> Spent:
        """What the cycles before this one cost; they are closed and do not change. Nobody asks without a limit."""
        if not self._metered:
            return Spent()
        known = self._conversation.costs
        for number in range(cycle.cycle):
            if number not in known:
                known[number] = Spent.on(await self._candidates(cycle.model_copy(update={"cycle": number})))
        return reduce(Spent.plus, (known[number] for number in range(cycle.cycle)), Spent())

    async def _spent(self, cycle: Cycle) -> Spent:
        own = Spent.on(await self._candidates(cycle)) if self._metered else Spent()
        return (await self._before(cycle)).plus(own)

    def _wanted(self, before: Spent) -> range:
        """The indices of a cycle; of the last one only as many as the budget allows."""
        spec = self._run.spec
        allowed = spec.budget.candidates
        return range(spec.candidates if allowed is None else min(spec.candidates, allowed - before.candidates))

    def _begun(self, cycle: Cycle, rows: Mapping[int, Candidate]) -> range:
        """What is there or was asked for, in order; nothing else is once the budget is used up."""
        asked, every = self._conversation.asks, range(self._run.spec.candidates)
        begun = (i for i in every if i in rows or self._key(cycle, Owed(i, "generation", blocked=False)) in asked)
        return range(max(begun, default=-1) + 1)

    async def _close(self, cycle: Cycle, candidates: Sequence[Candidate]) -> Cycle | None:
        if all(c.lost for c in candidates):
            self._finish(f"cycle {cycle.cycle}: every candidate was lost; is each service running?")
            return None
        spec = self._run.spec.selection
        considered = [pairs.scored(c) for c in candidates if c.novel or (c.judged and not spec.novel_only)]
        admitted = [s.candidate_id for s in selection.admitted(considered, spec)]
        await self._store.close_cycle(self._run.run_id, cycle.cycle, admitted, self._now)
        self._conversation.asks.clear()
        return cycle.model_copy(update={"closed": self._now})

    async def _succeed(self, cycle: Cycle) -> Cycle | None:
        """Open the next cycle, with the adapter that this one's pairs made where there is to be one."""
        following = cycle.cycle + 1
        if self._run.spec.frozen:
            return await self._open(following, cycle.adapter)
        if (challenger := await self._trained(cycle.cycle)) is not None:
            promoted = await self._promoted(cycle, challenger)
            adapter = challenger if promoted else cycle.adapter
            return None if promoted is None else await self._open(following, adapter)
        if not self._may_train(cycle.cycle):
            return None
        lines = await pairs.lines(self._store, self._blobs, self._run, cycle.cycle)
        if not lines:
            return await self._open(following, cycle.adapter)
        ref = await pairs.put(self._blobs, self._run.run_id, cycle.cycle, lines)
        self._append(requests.training(self._run, cycle.cycle, cycle.adapter, ref, len(lines)))
        return None

    async def _begin(self) -> Cycle | None:
        """Open the first cycle, with the adapter that the bootstrap pairs made where there are any."""
        spec = self._run.spec
        start = spec.bootstrap
        if start is None or start.pairs is None:
            return await self._open(0, spec.adapter)
        if (adapter := await self._trained(BOOTSTRAP)) is not None:
            return await self._open(0, adapter)
        if self._may_train(BOOTSTRAP):
            self._append(requests.training(self._run, BOOTSTRAP, spec.adapter, start.pairs, start.count))
        return None

    async def _trained(self, cycle: int) -> AdapterRef | None:
        trained = {a.cycle: a.adapter for a in await self._store.adapters(self._run.run_id)}
        return trained.get(cycle)

    def _may_train(self, cycle: int) -> bool:
        """Whether it is time to ask for an adapter; the run ends where that was asked in vain."""
        key: Key = (TrainingRequested.name, cycle)
        if self._conversation.spent(key, self._silence_s, self._limits.training_s, self._limits.asks):
            step = "bootstrap" if cycle == BOOTSTRAP else f"cycle {cycle}"
            self._finish(f"{step}: no adapter after {self._limits.asks} requests for training")
            return False
        return self._due(key, self._limits.training_s, unasked=True)

    async def _promoted(self, cycle: Cycle, challenger: AdapterRef) -> bool | None:
        """Whether the new adapter follows the present one; None while they are on trial."""
        gate = self._run.spec.gate
        if gate is None:
            return True
        new, old = [await self._valid_rate(adapter) for adapter in (challenger, cycle.adapter)]
        if new is None or old is None:
            return None
        log.info("trial", adapter=challenger.adapter, valid_rate=new, present_valid_rate=old, margin=gate.margin)
        return new >= old - gate.margin

    async def _valid_rate(self, adapter: AdapterRef | None) -> float | None:
        """Of what it wrote on trial; None while that is asked for. What is asked for in vain is not valid."""
        found = await trial.standing(self._store, self._run, adapter)
        waiting = [request for request in found.missing if not self._unheard(key_of(request))]
        for request in waiting:
            self._say(request, unasked=True)
        return None if waiting else found.valid_rate

    async def _open(self, cycle: int, adapter: AdapterRef | None) -> Cycle:
        await self._store.open_cycle(self._run.run_id, cycle, adapter, self._now)
        return (await self._store.cycles(self._run.run_id))[cycle]

    async def _announce(self, cycle: Cycle) -> None:
        closing = requests.closing(cycle, await self._candidates(cycle))
        if not await self._store.said(closing.id):
            self._say(closing, unasked=True)

    def _finish(self, reason: str) -> None:
        self._say(RunFinished(run_id=self._run.run_id, reason=reason), unasked=True)

    def _in_vain(self, cycle: Cycle, each: Owed) -> bool:
        return not each.blocked and self._unheard(self._key(cycle, each))

    def _unheard(self, key: Key) -> bool:
        """Whether it was asked for as often as it is."""
        return self._conversation.spent(key, self._silence_s, self._limits.answer_s, self._limits.asks)

    async def _give_up(self, cycle: Cycle, each: Owed) -> None:
        lost = CandidateLost(
            run_id=self._run.run_id,
            cycle=cycle.cycle,
            index=each.index,
            step=each.step,
            asked=self._conversation.count(self._key(cycle, each)),
        )
        log.warning("candidate lost", candidate_id=lost.candidate_id, step=each.step, asked=lost.asked)
        await self._store.record(lost, self._now)
        self._append(lost)

    def _say(self, message: Message, *, unasked: bool, counts: bool = True) -> None:
        if self._due(key_of(message), self._limits.answer_s, unasked=unasked):
            self._append(message, counts=counts)

    def _due(self, key: Key, patience_s: float, *, unasked: bool) -> bool:
        return self._conversation.due(key, self._silence_s, patience_s, unasked=unasked)

    def _append(self, message: Message, *, counts: bool = True) -> None:
        self._conversation.said(message, self._now, counts=counts)
        self._messages.append(message)

    def _key(self, cycle: Cycle, each: Owed) -> Key:
        return _ASKED_BY[each.step], candidate_id(self._run.run_id, cycle.cycle, each.index)

    async def _candidates(self, cycle: Cycle) -> Sequence[Candidate]:
        return (await self._store.candidates(CandidateQuery(run_id=cycle.run_id, cycle=cycle.cycle))).items

    async def _judgement(self, candidate: Candidate) -> Message:
        return requests.judgement(self._run, candidate, await self._source(candidate))

    async def _source(self, candidate: Candidate) -> Source:
        source = await self._store.source(candidate.candidate_id)
        assert source is not None
        return source
