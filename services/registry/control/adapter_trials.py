"""Asks two adapters to write the same candidates, and tells whether the new one replaces the present one."""

import structlog

from archloop.contracts.values import AdapterRef
from services.registry.control import trial
from services.registry.control.conversation import Trial, key_of
from services.registry.control.look import Look
from services.registry.control.progress import Front

log = structlog.get_logger(__name__)


class AdapterTrials:
    """The trials in one look: a window at a time, as for the candidates of a cycle."""

    def __init__(self, look: Look) -> None:
        self._look, self._conversation, self._store = look, look.conversation, look.store

    async def promoted(self, challenger: AdapterRef, present: AdapterRef | None) -> bool | None:
        """Return whether the new adapter replaces the present one; None while they are on trial."""
        gate = self._look.asked_for.spec.gate
        if gate is None:
            return True
        new, old = [await self._valid_rate(adapter, gate.candidates) for adapter in (challenger, present)]
        if new is None or old is None:
            return None
        log.info("trial", adapter=challenger.adapter, valid_rate=new, present_valid_rate=old, margin=gate.margin)
        return new >= old - gate.margin

    async def _valid_rate(self, adapter: AdapterRef | None, wanted: int) -> float | None:
        """Return the valid rate of the adapter's trial; None while that goes on. What is asked in vain is not valid."""
        known = await self._known(adapter, wanted)
        if known.valid_rate is not None:
            return known.valid_rate
        if self._look.first or self._look.silent:
            await self._again(known, adapter)
        await self._onwards(known, adapter)
        if known.front.asked == wanted and not len(known.front):
            known.valid_rate = await trial.valid_rate(self._store, self._look.asked_for, adapter, wanted)
        return known.valid_rate

    async def _known(self, adapter: AdapterRef | None, wanted: int) -> Trial:
        scope = trial.scope(adapter)
        known = self._conversation.trials.get(scope)
        if known is None:
            asked = await self._store.asked(self._look.asked_for.uid, scope)
            known = self._conversation.trials.setdefault(scope, Trial(Front(asked), wanted))
            await self._check(known, adapter)
        elif self._look.silent and known.valid_rate is None:
            await self._check(known, adapter)
        return known

    async def _check(self, known: Trial, adapter: AdapterRef | None) -> None:
        asked = known.front.asked
        known.front = Front.of(asked, await trial.open_steps(self._store, self._look.asked_for, adapter, asked))

    async def _again(self, known: Trial, adapter: AdapterRef | None) -> None:
        waiting = [trial.request(self._look.asked_for, adapter, index) for index in sorted(known.front.working)]
        unsaid = await self._look.unsaid(waiting)
        for request in waiting:
            if self._look.unheard(key_of(request)):
                known.front.heard(request.index, None)
            else:
                self._look.ask_again(request, "generation", unasked=request.id in unsaid)

    async def _onwards(self, known: Trial, adapter: AdapterRef | None) -> None:
        room = self._conversation.window.room(known.front, known.wanted)
        if not room:
            return
        for index in await self._look.claimed(trial.scope(adapter), known.front, room):
            known.front.heard(index, "generation")
            self._look.say(trial.request(self._look.asked_for, adapter, index), unasked=True)
