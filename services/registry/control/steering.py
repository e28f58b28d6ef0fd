"""What acts make of a run: which are possible, and what a cycle that opens takes up. Pure functions."""

import operator
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

import structlog

from archloop import templates
from archloop.contracts.acts import AT_ONCE, Act, Changes
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import AdapterRef
from archloop.errors import Conflict, InvalidInput
from archloop.validation import checked
from services.registry.acts import Steered, Submitted
from services.registry.records import CANCELLED, Cycle, Run

log = structlog.get_logger(__name__)

MOST_ACTS = 1000
MOST_CODE = 4 * 2**20


def taken_up(run: Run, cycle: int, before: Steered | None) -> Steered | None:
    """Return what the acts make of a cycle that opens now, after one of which they made `before`.

    None where nobody has steered the run so far. The acts that were planned for it come first.
    """
    planned = [each.act for each in run.spec.steering if each.cycle == cycle]
    live = [each.act for each in run.acts[before.acts if before else 0 :]]
    if before is None and not any(act.verb not in AT_ONCE for act in (*planned, *live)):
        return None
    begun = _begun(run, before).model_copy(update={"acts": len(run.acts)})
    steered = reduce(_after, (*planned, *live), begun)
    return steered.model_copy(update={"wanted": steered.spec.candidates + len(steered.submitted)})


def ends_before(run: Run, cycle: int) -> str | None:
    """Return why the run ends before this cycle opens; None where no act that was planned ends it."""
    planned = (each.act for each in run.spec.steering if each.act.verb == "cancel" and each.cycle <= cycle)
    return next((cancelled(act.who) for act in planned), None)


def cancelled(who: str) -> str:
    """Return the reason of a run that somebody cancelled."""
    return f"{CANCELLED} by {who}" if who else CANCELLED


def changes_something(run: Run, cycles: Sequence[Cycle], act: Act) -> bool:
    """Return whether the act makes anything otherwise than it is. Raises Conflict, InvalidInput where it cannot be."""
    if act.verb == "cancel" and (run.cancelled_by is not None or run.status == "cancelled"):
        return False
    if run.finished is not None:
        raise Conflict(f"run {run.run_id!r} is over ({run.reason}): nobody can {act.verb} it any more")
    if run.cancelled_by is not None:
        raise Conflict(f"run {run.run_id!r} is being cancelled: nobody can {act.verb} it any more")
    _require_room(run, act)
    if act.verb in AT_ONCE:
        return act.verb == "cancel" or (act.verb == "pause") != run.paused
    if len(cycles) >= run.spec.cycles:
        raise Conflict(f"run {run.run_id!r}: its last cycle is open, and {act.verb} takes effect in the next one")
    if act.adapter is not None and act.adapter not in (known := versions(run, cycles)):
        raise InvalidInput("adapter", act.adapter, f"one that has written a cycle of the run: {', '.join(known)}")
    pending = _pending(run, cycles)
    return _changed_by(pending, act) != pending


def versions(run: Run, cycles: Iterable[Cycle]) -> Mapping[str, AdapterRef | None]:
    """Return the versions of the LLM that the run can be reverted to, by name: the base model, and what wrote cycles.

    An adapter that wrote none is not among them, whether it was proven or not: another run done by the same acts may
    not have it, as no training comes before a cycle that is reverted.
    """
    wrote = {each.adapter.adapter: each.adapter for each in cycles if each.adapter is not None}
    return {run.spec.base_model: None, **wrote}


def changed(spec: RunSpec, changes: Changes) -> RunSpec:
    """Return the spec after the changes. Raises InvalidInput naming the field."""
    content: dict[str, Any] = spec.model_dump()
    for name, value in changes:
        if isinstance(value, (int, float)):
            content[name] = value
        elif value is not None:
            given = value.model_dump(exclude_none=name != "budget")
            content[name] = given if name == "budget" else content[name] | given
    made = checked(RunSpec, content, "changes")
    if made.generation.template not in templates.names():
        raise InvalidInput(
            "changes: generation.template", made.generation.template, f"one of {', '.join(templates.names())}"
        )
    return made


def _begun(run: Run, before: Steered | None) -> Steered:
    """Return what holds on from the cycle before."""
    return (before or Steered(spec=run.spec)).model_copy(update={"submitted": (), "reverted": ""})


def _pending(run: Run, cycles: Sequence[Cycle]) -> Steered:
    """Return what the next cycle would take up by now."""
    before = cycles[-1].steered if cycles else None
    begun = _begun(run, before)
    return reduce(_after, (each.act for each in run.acts[begun.acts :]), begun)


def _after(steered: Steered, act: Act) -> Steered:
    """Take up one act; one that does not go with those before it changes nothing."""
    try:
        return _changed_by(steered, act)
    except InvalidInput as error:
        log.warning("an act does not go with those before it", verb=act.verb, who=act.who, error=str(error))
        return steered


def _changed_by(steered: Steered, act: Act) -> Steered:
    if act.changes is not None:
        return steered.model_copy(update={"spec": changed(steered.spec, act.changes)})
    if act.adapter is not None:
        if steered.spec.frozen:
            raise InvalidInput("adapter", act.adapter, "none: the run is frozen, and one version writes all of it")
        return steered.model_copy(update={"reverted": act.adapter})
    if act.candidate is not None:
        return steered.model_copy(update={"exemplars": steered.exemplars.after(act)})
    if act.code is not None and act.code not in map(operator.attrgetter("code"), steered.submitted):
        given = Submitted(code=act.code, who=act.who)
        return steered.model_copy(update={"submitted": (*steered.submitted, given)})
    return steered


def _require_room(run: Run, act: Act) -> None:
    if len(run.acts) >= MOST_ACTS and act.verb not in {"cancel", "resume"}:
        raise Conflict(f"run {run.run_id!r}: it was steered {MOST_ACTS} times, which is the most")
    if _size((*run.acted, act)) > MOST_CODE:
        raise Conflict(f"run {run.run_id!r}: {MOST_CODE} characters of code were given to it, which is the most")


def _size(acts: Iterable[Act]) -> int:
    return sum(len(act.code.text or "") for act in acts if act.code)
