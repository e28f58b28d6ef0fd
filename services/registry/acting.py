"""Acts on runs: what is checked of one whichever way it comes, and how one that comes by HTTP goes on record."""

import uuid
from collections.abc import Awaitable, Callable

from archloop.contracts.acts import Act
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import RunSteered
from archloop.errors import InvalidInput, NotFound
from services.registry.control import steering
from services.registry.records import Run, utc_now
from services.registry.stores.port import Store

Say = Callable[[Envelope], Awaitable[None]]


async def steer(store: Store, say: Say, run_id: str, act: Act, traceparent: str | None = None) -> RunSteered:
    """Put the act on record and on its way; one that changes nothing is neither.

    Raises NotFound, Conflict, InvalidInput, BusUnavailable.
    """
    run = await store.run(run_id)
    if run is None:
        raise NotFound("run", run_id)
    message = RunSteered(run_id=run.run_id, run_uid=run.uid, act_id=uuid.uuid4().hex, act=act)
    if await changes_something(store, run, act):
        await store.record(message, utc_now())
        await say(Envelope.of(message, source="registry", traceparent=traceparent))
    return message


async def changes_something(store: Store, run: Run, act: Act) -> bool:
    """Return whether the act makes anything otherwise than it is on record.

    Raises Conflict where the run cannot be steered so any more, InvalidInput or NotFound for what it never could.
    """
    if not steering.changes_something(run, await store.cycles(run.run_id), act):
        return False
    if act.verb in {"pin", "ban"}:
        await _require_exemplar(store, run, act)
    return True


async def _require_exemplar(store: Store, run: Run, act: Act) -> None:
    candidate = await store.candidate(act.candidate or "")
    if candidate is None or candidate.run_id != run.run_id or candidate.cycle is None:
        raise NotFound("candidate", f"{act.candidate} in run {run.run_id}")
    if act.verb == "pin" and not (candidate.valid and candidate.judgement):
        raise InvalidInput("candidate", act.candidate, "one that trained and was judged, to be pinned")
