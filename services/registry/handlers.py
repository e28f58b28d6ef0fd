"""The registry's one handler: every message of the loop is recorded, and some of them set the loop going again."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from archloop import protocols
from archloop.contracts.base import CandidateMessage, Message
from archloop.contracts.messages import AdapterTrained, RunFinished, RunRequested
from archloop.contracts.spec import RunSpec
from archloop.errors import InvalidInput, NotFound
from services.registry import trial
from services.registry.controller import Controller
from services.registry.store import Store

_TURNS = RunRequested | AdapterTrained | RunFinished


def utc_now() -> datetime:
    """The registry's clock."""
    return datetime.now(UTC)


class RegistryHandler:
    """Record first; look at the run only where the message can have ended what the loop waits for."""

    def __init__(self, store: Store, controller: Controller, clock: Callable[[], datetime] = utc_now) -> None:
        self._store, self._controller, self._clock = store, controller, clock
        self._specs: dict[str, RunSpec] = {}

    async def handle(self, message: Message) -> Sequence[Message]:
        """Returns what the controller asks for next. Raises InvalidInput, NotFound, Conflict, Unavailable."""
        now = self._clock()
        if isinstance(message, RunRequested):
            protocols.load(message.spec.protocol)
            _check_bootstrap(message.spec)
        elif isinstance(message, CandidateMessage) and message.submission is None:
            await self._check_place(message)
        recorded = await self._store.record(message, now)
        self._controller.heard(message, now)
        if recorded.complete or isinstance(message, _TURNS) or await self._counts(message):
            return await self._controller.next(message.run_id, now)
        return []

    async def _counts(self, message: Message) -> bool:
        """Whether it may use up the run's budget, make room for more candidates under way, or decide a trial."""
        if trial.belongs(message):
            return True
        if not isinstance(message, CandidateMessage) or message.submission is not None:
            return False
        return bool((await self._spec(message.run_id)).budget.limits())

    async def _check_place(self, message: CandidateMessage) -> None:
        spec = await self._spec(message.run_id)
        if message.cycle >= spec.cycles:
            raise InvalidInput("cycle", message.cycle, f"less than the run's {spec.cycles}")
        if message.index >= spec.candidates:
            raise InvalidInput("index", message.index, f"less than the run's {spec.candidates}")

    async def _spec(self, run_id: str) -> RunSpec:
        if run_id not in self._specs:
            run = await self._store.run(run_id)
            if run is None:
                raise NotFound("run", run_id)
            self._specs[run_id] = run.spec
        return self._specs[run_id]


def _check_bootstrap(spec: RunSpec) -> None:
    if spec.bootstrap is not None and spec.bootstrap.pairs is None:
        raise InvalidInput("spec.bootstrap.pairs", None, "a reference to pairs, as POST /pairs answers")
