"""Asks for the candidates of one cycle: a window of them at a time, and again for what was not answered."""

from functools import reduce

from archloop.contracts.base import Message
from archloop.contracts.messages import CandidateGenerated, GenerationRequested
from archloop.contracts.spec import RunSpec
from services.registry.acts import paused_s
from services.registry.control import ladder, originals, parents, requests, watch
from services.registry.control.budget import Spent, exhausted
from services.registry.control.conversation import Key, OpenCycle, key_for, key_of
from services.registry.control.look import Look
from services.registry.control.memory import choice
from services.registry.control.memory.choice import Recollection
from services.registry.control.memory.recollection import recollection
from services.registry.control.progress import Front, Owed
from services.registry.records import Candidate, Cycle, Source
from services.registry.stores.paging import pages, scope_of


class CandidateRequests:
    """Asks for candidates of the open cycle, in one look. Its state is kept, and read from the rows after silence."""

    def __init__(self, look: Look) -> None:
        self._look, self._conversation, self._store = look, look.conversation, look.store

    async def opened(self, cycle: Cycle) -> OpenCycle:
        """Return how far the cycle is."""
        known = self._conversation.open
        if known is None or known.cycle.cycle != cycle.cycle:
            front = await self._front(cycle, await self._store.asked(self._look.run.uid, scope_of(cycle)))
            before = await self.before(cycle)
            bar = await ladder.bar_of(self._store, self._look.run, cycle.cycle)
            run = await watch.widened(self._store, self._look.run, cycle.cycle)
            pool = await originals.pool(self._store, self._look.blobs, run, cycle.cycle)
            known = OpenCycle(
                cycle, run, front, self._wanted(cycle, before), before, await self.spent(cycle), bar=bar, parents=pool
            )
            known.recollection = await self._recollection(cycle)
            self._conversation.opened(known, self._look.run)
        elif self._look.silent:
            await self.check(known)
        if known.over is None and (over := await self._over(known)):
            known.over, known.wanted = over, known.front.asked
        return known

    async def _recollection(self, cycle: Cycle) -> Recollection:
        look = self._look
        self._conversation.shown(look.run.exemplars)
        lessons = self._conversation.lessons
        return await recollection(self._store, look.blobs, look.run, cycle.cycle, lessons)

    async def check(self, known: OpenCycle) -> None:
        """Update the cycle's state to what the rows say."""
        known.front = await self._front(known.cycle, known.front.asked)

    async def ask(self, known: OpenCycle) -> None:
        """Ask for what is due again, and for as many more candidates as there is room."""
        if self._look.first or self._look.silent:
            await self._again(known)
        if self._conversation.sweep is not None:
            await self._sweep(known)
        await self._onwards(known)

    async def before(self, cycle: Cycle) -> Spent:
        """Return what the cycles before this one cost, for a run with a budget; they are closed and do not change."""
        if not self.metered:
            return Spent()
        known = self._conversation.costs
        for number in range(cycle.cycle):
            if number not in known:
                known[number] = await self._cost(number)
        return reduce(Spent.plus, (known[number] for number in range(cycle.cycle)), Spent())

    async def spent(self, cycle: Cycle) -> Spent:
        """Return what this cycle cost, for a run with a budget."""
        return await self._cost(cycle.cycle) if self.metered else Spent()

    def over(self, spent: Spent, spec: RunSpec | None = None) -> str | None:
        """Return why the run must end for its budget, or that of another spec; None while it may go on."""
        run, now = self._look.run, self._look.now
        wall_s = (now - run.created).total_seconds() - paused_s(run.acts, now)
        return exhausted((spec or run.spec).budget, spent, wall_s)

    @property
    def metered(self) -> bool:
        """Whether the run has a budget, or may have been given one."""
        return self._look.asked_for.metered

    async def _cost(self, number: int) -> Spent:
        run, spent = self._look.run, Spent()
        async for page in pages(self._store, run.run_id, number):
            spent = spent.plus(Spent.on(page))
        return spent

    async def _over(self, known: OpenCycle) -> str | None:
        """Return why the budget is used up, by the rows: what was heard may count a message twice."""
        if self.over(known.before.plus(known.spent)) is None:
            return None
        known.spent = await self.spent(known.cycle)
        return self.over(known.before.plus(known.spent))

    async def _front(self, cycle: Cycle, asked: int) -> Front:
        return Front.of(asked, await self._store.open_steps(cycle.run_id, cycle.cycle, asked))

    def _wanted(self, cycle: Cycle, before: Spent) -> int:
        """Return how many candidates the cycle is to have; of the last one only as many as the budget allows."""
        spec = self._look.run.spec
        wanted, allowed = cycle.wanted(spec), spec.budget.candidates
        return wanted if allowed is None else max(0, min(wanted, allowed - before.candidates))

    async def _again(self, known: OpenCycle) -> None:
        claimed = (self._generation(known, index) for index in known.front.working)
        unsaid = await self._look.unsaid(claimed)
        for each in known.front.owed():
            if each.step == "generation":
                message = self._generation(known, each.index)
                self._look.ask_again(message, "generation", unasked=message.id in unsaid)
            elif each.step == "evaluation":
                await self._evaluation(known, each)
            elif self._due(known, each):
                self._conversation.sweep = self._conversation.sweep or 0

    async def _evaluation(self, known: OpenCycle, each: Owed) -> None:
        if not self._due(known, each):
            return
        candidate = await self._store.candidate(str(self._key(known, each)[1]))
        if candidate is not None and candidate.awaits == "evaluation":
            message = requests.evaluation(self._look.run, candidate, await self._source(candidate), known.bar)
            self._look.ask_again(message, "evaluation", unasked=self._look.circumstances.anew)

    async def _sweep(self, known: OpenCycle) -> None:
        """Tell novelty again of all candidates up to the last verdict that is owed, as it judges them in order.

        A part at a time: the next one when this one has come back to us.
        """
        start = self._conversation.sweep or 0
        last = max(known.front.judging, default=-1)
        stop = min(last + 1, start + self._conversation.window.most)
        blocked = {each.index for each in known.front.owed() if each.blocked}
        async for page in pages(self._store, self._look.run_id, known.cycle.cycle, stop, start):
            for candidate in page:
                await self._remind(candidate, blocked, known)
        self._conversation.sweep = stop if stop <= last else None

    async def _remind(self, candidate: Candidate, blocked: set[int], known: OpenCycle) -> None:
        message: Message | None = None
        if candidate.lost:
            message = requests.loss(self._look.run, candidate)
        elif candidate.evaluation is not None:
            message = requests.judgement(self._look.run, candidate, await self._source(candidate))
        if message is None:
            return
        if candidate.index not in known.front.judging:
            self._look.messages.append(message)
        elif "judgement" in self._look.circumstances.busy and not self._look.first:
            self._conversation.waits(key_of(message), self._look.now)
        else:
            self._look.append(message, counts=candidate.index not in blocked)

    async def _onwards(self, known: OpenCycle) -> None:
        room = self._conversation.window.room(known.front, known.wanted)
        if not room:
            return
        claimed = await self._look.claimed(scope_of(known.cycle), known.front, room)
        fresh = dict.fromkeys(claimed)
        async for page in pages(self._store, self._look.run_id, known.cycle.cycle, claimed.stop, claimed.start):
            for candidate in page:
                fresh.pop(candidate.index or 0)
                known.front.heard(candidate.index or 0, candidate.awaits)
        for index in fresh:
            known.front.heard(index, "generation")
            self._look.say(self._generation(known, index), unasked=True)

    def _generation(self, known: OpenCycle, index: int) -> GenerationRequested | CandidateGenerated:
        """Ask for a candidate, or say what somebody submitted for it, in the same words whenever it is asked for."""
        spec = known.run.spec
        if known.cycle.steered is not None and index >= spec.candidates:
            return requests.submitted(known.run, known.cycle, index, known.bar)
        slot = spec.generation.slot(index)
        parent = parents.drawn(known.parents, spec, known.cycle.cycle, slot)
        memory = choice.drawn(known.recollection, spec, known.cycle.cycle, slot)
        return requests.generation(known.run, known.cycle, index, known.bar, parent, memory)

    def _due(self, known: OpenCycle, each: Owed) -> bool:
        return self._look.due(self._key(known, each), unasked=self._look.circumstances.anew)

    def _key(self, known: OpenCycle, each: Owed) -> Key:
        return key_for(self._look.run_id, known.cycle.cycle, each.index, each.step)

    async def _source(self, candidate: Candidate) -> Source:
        source = await self._store.source(candidate.candidate_id)
        assert source is not None
        return source
