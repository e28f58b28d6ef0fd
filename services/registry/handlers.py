"""The registry's one handler: it records every message of the loop, and looks at the run after some of them."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

import structlog

from archloop import telemetry
from archloop.contracts.base import CandidateMessage, Message
from archloop.contracts.messages import AdapterTrained, RunFinished, RunRequested, RunSteered
from archloop.errors import InvalidInput, NotFound
from services.registry import acting
from services.registry.control.controller import Controller
from services.registry.records import Run, utc_now
from services.registry.requesting import check
from services.registry.stores.port import Store
from services.registry.stores.recording import in_a_cycle

log = structlog.get_logger(__name__)

_TURNS = RunRequested | RunSteered | AdapterTrained


class RegistryHandler:
    """Records each message, and looks at its run only where the message can have ended what the loop waits for.

    A look that fails is not the message's fault, which is recorded: the clock takes it again.
    """

    def __init__(
        self,
        store: Store,
        controller: Controller,
        clock: Callable[[], datetime] = utc_now,
        base_models: Collection[str] = (),
    ) -> None:
        self._store, self._controller, self._clock, self._base_models = store, controller, clock, base_models

    async def handle(self, message: Message) -> Sequence[Message]:
        """Record the message and return what the controller asks for next.

        Raises InvalidInput, NotFound, Conflict, Unavailable.
        """
        now, run = self._clock(), None
        if isinstance(message, RunRequested):
            check(message.spec, self._base_models)
        elif message.run_uid is not None or isinstance(message, CandidateMessage | RunSteered):
            run = await self._store.run(message.run_id)
            if _is_of_another(message, run) or _is_withdrawn(message, run) or await self._is_in_vain(message, run):
                return []
            _check_place(message, run)
        try:
            with telemetry.span("record"):
                recorded = await self._store.record(message, now)
        except NotFound:
            if await self._forgotten(message):  # the database was emptied just now
                return []
            raise
        if isinstance(message, RunFinished):
            self._controller.ended(message.run_id)
            return []
        self._controller.heard(message, recorded, now)
        turns = recorded.complete or isinstance(message, _TURNS)
        if turns or _counts(message, run) or self._controller.wants(message.run_id):
            return await self._controller.look(message.run_id, now)
        return []

    async def _is_in_vain(self, message: Message, run: Run | None) -> bool:
        """Return whether an act that is not on record changes nothing. Raises Conflict, InvalidInput, NotFound."""
        if not isinstance(message, RunSteered):
            return False
        if run is None:
            raise NotFound("run", message.run_id)
        if any(known.act_id == message.act_id for known in run.acts):
            return False
        return not await acting.changes_something(self._store, run, message.act)

    async def _forgotten(self, message: Message) -> bool:
        return _is_of_another(message, await self._store.run(message.run_id))


def _is_of_another(message: Message, run: Run | None) -> bool:
    """Return whether the message says that it is of a run that is not on record: the database was emptied since."""
    if message.run_uid is None or (run is not None and run.uid == message.run_uid):
        return False
    log.warning("dropped: of a run that is not on record", name=message.name)
    return True


def _is_withdrawn(message: Message, run: Run | None) -> bool:
    """Return whether the message is about a candidate of a run that was cancelled: it is as it was then."""
    if run is None or run.status != "cancelled" or not in_a_cycle(message):
        return False
    log.info("dropped: its run was cancelled", name=message.name)
    return True


def _counts(message: Message, run: Run | None) -> bool:
    """Return whether the message may use up the run's budget."""
    if not isinstance(message, CandidateMessage) or message.submission is not None or run is None:
        return False
    return run.metered


def _check_place(message: Message, run: Run | None) -> None:
    """Check that the run has the cycle and index of a candidate's message. Raises InvalidInput, NotFound."""
    if not isinstance(message, CandidateMessage) or message.submission is not None:
        return
    if run is None:
        raise NotFound("run", message.run_id)
    if message.cycle >= run.spec.cycles:
        raise InvalidInput("cycle", message.cycle, f"less than the run's {run.spec.cycles}")
    if message.index >= run.largest_cycle:
        raise InvalidInput("index", message.index, f"less than the run's {run.largest_cycle}")
