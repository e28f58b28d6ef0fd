"""One look at one run. The order of the loop's steps is known only here.

    tune on the bootstrap pairs, if there are any → open a cycle → ask for its candidates → all are settled
    → admit and close → ask for training → an adapter is trained → open the next cycle with it → …
    → the last cycle is closed → finished

Each step is derived from rows and leaves a row, so a look may end anywhere and the next one goes on from there.
"""

from collections import Counter
from collections.abc import Sequence

import structlog

from archloop import telemetry
from archloop.contracts.base import request_id
from archloop.contracts.messages import BOOTSTRAP, CandidateLost, CycleClosed, TrainingRequested
from archloop.contracts.values import AdapterRef, Collapse
from services.registry.acts import Steered
from services.registry.control import pairs, requests, selection, steering, watch
from services.registry.control.adapter_trials import AdapterTrials
from services.registry.control.candidate_requests import CandidateRequests
from services.registry.control.conversation import Key, OpenCycle, key_for
from services.registry.control.look import Look
from services.registry.control.progress import Owed
from services.registry.records import COMPLETED, Cycle, Run
from services.registry.stores.paging import pages

log = structlog.get_logger(__name__)


class Reconciliation:
    """Makes every transition that the rows allow."""

    def __init__(self, look: Look) -> None:
        self._look, self._store = look, look.store
        self._conversation = look.conversation
        self._candidates, self._trials = CandidateRequests(look), AdapterTrials(look)

    @property
    def _run(self) -> Run:
        return self._look.run

    async def transitions(self) -> None:
        """Make every transition that is possible; the look then holds what to publish."""
        if (by := self._run.cancelled_by) is not None:
            self._conversation.end = self._conversation.end or steering.cancelled(by)
        if self._conversation.end is not None:
            self._look.finish(self._conversation.end)
            return
        cycle = await self._present()
        while cycle is not None:
            cycle = await self._advance(cycle)

    async def _present(self) -> Cycle | None:
        """Return the cycle that the run is in."""
        if self._conversation.open is not None:
            return self._conversation.open.cycle
        cycles = await self._store.cycles(self._run.run_id)
        for closed in cycles[-2:-1]:
            await self._announce(closed)
        return cycles[-1] if cycles else await self._begin()

    async def _advance(self, cycle: Cycle) -> Cycle | None:
        """Make one transition. Return the cycle to look at next, or None when others have to act first."""
        self._look.at(cycle)
        if cycle.closed is None:
            return await self._settle(cycle)
        await self._announce(cycle)
        spec, following = self._run.spec, self._taken_up(cycle.cycle + 1, cycle)
        last = cycle.cycle + 1 >= spec.cycles
        spent = (await self._candidates.before(cycle)).plus(await self._candidates.spent(cycle))
        over = self._candidates.over(spent, following.spec if following else None)
        if last or over:
            whole = last and cycle.settled >= cycle.wanted(spec)
            self._look.finish(over if over and not whole else COMPLETED)
            return None
        return await self._succeed(cycle, following)

    async def _settle(self, cycle: Cycle) -> Cycle | None:
        known = await self._candidates.opened(cycle)
        if known.over and not known.front.asked:
            self._look.finish(known.over)
            return None
        if _done(known):  # by what was heard; the rows decide
            await self._candidates.check(known)
        if _done(known):
            return await self._close(known)
        if lost := [each for each in known.front.owed() if not each.blocked and self._look.unheard(_key(known, each))]:
            return await self._give_up(known, lost)
        await self._candidates.ask(known)
        return None

    async def _close(self, known: OpenCycle) -> Cycle | None:
        cycle, spec, considered, answered = known.cycle, self._run.spec.selection, [], False
        async for page in pages(self._store, self._run.run_id, cycle.cycle):
            considered += [pairs.scored(c) for c in page if c.novel or (c.judged and not spec.novel_only)]
            answered = answered or not all(c.lost for c in page)
        if not answered:
            self._all_lost(cycle)
            return None
        admitted = [s.candidate_id for s in await selection.admitted_aside(considered, spec)]
        await self._store.close_cycle(self._run.run_id, cycle.cycle, admitted, self._look.now)
        for each in admitted:
            telemetry.mark("registry", "admit", request_id(self._run.run_id, self._run.uid, each), candidate=each)
        self._conversation.closed()
        return (await self._store.cycles(self._run.run_id))[cycle.cycle]

    def _all_lost(self, cycle: Cycle) -> None:
        reason = next(iter(self._conversation.rejected.values()), "is each service running?")
        self._look.finish(f"cycle {cycle.cycle}: every candidate was lost; {reason}")

    async def _succeed(self, cycle: Cycle, steered: Steered | None) -> Cycle | None:
        """Open the next cycle, with the adapter that this one's pairs made where there is to be one."""
        following = cycle.cycle + 1
        if self._run.spec.frozen or (steered and steered.reverted):
            return await self._open(following, cycle.adapter, cycle)
        if (challenger := await self._trained(cycle.cycle)) is not None:
            promoted = await self._trials.promoted(challenger, cycle.adapter)
            adapter = challenger if promoted else cycle.adapter
            return None if promoted is None else await self._open(following, adapter, cycle)
        if not self._may_train(cycle.cycle):
            return None
        run = await watch.widened(self._store, self._run, following)
        lines = await pairs.lines(self._store, self._look.blobs, run, cycle.cycle)
        if not lines:
            return await self._open(following, cycle.adapter, cycle)
        ref = await pairs.put(self._look.blobs, self._run.run_id, cycle.cycle, lines)
        self._train(requests.training(self._run, cycle.cycle, cycle.adapter, ref, len(lines)))
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
            self._train(requests.training(self._run, BOOTSTRAP, spec.adapter, start.pairs, start.count))
        return None

    def _train(self, request: TrainingRequested) -> None:
        self._look.append(request, patience_s=self._look.limits.training_s)

    async def _trained(self, cycle: int) -> AdapterRef | None:
        trained = {a.cycle: a.adapter for a in await self._store.adapters(self._run.run_id)}
        return trained.get(cycle)

    def _may_train(self, cycle: int) -> bool:
        """Return whether it is time to ask for an adapter; end the run where that was asked in vain."""
        key: Key = (TrainingRequested.name, cycle)
        if self._look.unheard(key):
            step = "bootstrap" if cycle == BOOTSTRAP else f"cycle {cycle}"
            reason = self._conversation.rejected.get(key)
            why = f", which was rejected: {reason}" if reason else ""
            self._look.finish(f"{step}: no adapter after {self._look.limits.asks} requests for training{why}")
            return False
        return self._look.due(key, unasked=True)

    async def _open(self, cycle: int, adapter: AdapterRef | None, before: Cycle | None = None) -> Cycle | None:
        """Open a cycle with all that was done to the run so far, unless that ends it."""
        if reason := steering.ends_before(self._look.asked_for, cycle):
            self._look.finish(reason)
            return None
        steered = self._taken_up(cycle, before)
        if steered is not None and steered.reverted:
            adapter = await self._reverted(steered.reverted, adapter)
        await self._store.open_cycle(self._run.run_id, cycle, adapter, self._look.now, steered)
        return (await self._store.cycles(self._run.run_id))[cycle]

    async def _reverted(self, name: str, present: AdapterRef | None) -> AdapterRef | None:
        """Return the version of this name; the present one where the run, done again otherwise, never had it."""
        known = steering.versions(self._look.asked_for, await self._store.cycles(self._run.run_id))
        if name not in known:
            log.warning("no cycle was written by the adapter to revert to", run_id=self._run.run_id, adapter=name)
        return known.get(name, present)

    def _taken_up(self, cycle: int, before: Cycle | None) -> Steered | None:
        return steering.taken_up(self._look.asked_for, cycle, before.steered if before else None)

    async def _announce(self, cycle: Cycle) -> None:
        if cycle.cycle in self._conversation.announced:
            return
        ended: Counter[str] = Counter()
        if await self._store.said(requests.closing(self._run, cycle, ended).id):
            self._conversation.announced.add(cycle.cycle)
        elif self._look.due((CycleClosed.name, cycle.cycle), unasked=True):
            async for page in pages(self._store, self._run.run_id, cycle.cycle):
                ended += requests.endings(page)
            self._look.append(requests.closing(self._run, cycle, ended, await self._watched(cycle)))

    async def _watched(self, cycle: Cycle) -> Collapse | None:
        found = await watch.watched(self._store, self._run, cycle.cycle)
        if found is not None and found.step:
            log.warning("collapse", run_id=self._run.run_id, cycle=cycle.cycle, **found.model_dump())
        return found

    def _rejected(self, known: OpenCycle, lost: Sequence[Owed]) -> str | None:
        """Return why generation was rejected, if it was: what the generator rejects of one candidate it does of all."""
        written = (_key(known, each) for each in lost if each.step == "generation")
        return next((reason for key in written if (reason := self._conversation.rejected.get(key))), None)

    async def _give_up(self, known: OpenCycle, lost: Sequence[Owed]) -> Cycle | None:
        if reason := self._rejected(known, lost):
            self._look.finish(f"cycle {known.cycle.cycle}: generation was rejected: {reason}")
            return None
        for each in lost:
            await self._lose(known, each)
        if not len(known.front) and not await self._answered(known):
            self._all_lost(known.cycle)
            return None
        return known.cycle

    async def _answered(self, known: OpenCycle) -> bool:
        """Return whether any was answered; where none of the first was, there is no use in asking for the others."""
        async for page in pages(self._store, self._run.run_id, known.cycle.cycle, known.front.asked):
            if not all(c.lost for c in page):
                return True
        return False

    async def _lose(self, known: OpenCycle, each: Owed) -> None:
        key = _key(known, each)
        lost = CandidateLost(
            run_id=self._run.run_id,
            run_uid=self._run.uid,
            cycle=known.cycle.cycle,
            index=each.index,
            step=each.step,
            asked=self._conversation.count(key),
            reason=self._conversation.rejected.get(key, ""),
        )
        log.warning("candidate lost", candidate_id=lost.candidate_id, step=each.step, asked=lost.asked)
        recorded = await self._store.record(lost, self._look.now)
        known.front.heard(each.index, recorded.step)
        self._look.append(lost)


def _done(known: OpenCycle) -> bool:
    return known.front.asked >= known.wanted and not len(known.front)


def _key(known: OpenCycle, each: Owed) -> Key:
    return key_for(known.cycle.run_id, known.cycle.cycle, each.index, each.step)
