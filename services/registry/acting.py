"""Checks of an act before it is taken up, whichever way it came."""

from archloop.contracts.acts import Act
from archloop.errors import InvalidInput, NotFound
from services.registry.control import steering
from services.registry.records import Run
from services.registry.stores.port import Store


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
