"""What each kind of message changes in MongoDB.

There are no transactions: every write says what must still be so for it to happen, so that the first one wins and
a message that is delivered again goes on wherever the process was killed the last time.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import singledispatch
from typing import Any, NamedTuple

import bson
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from archloop.contracts.base import CandidateMessage, Message
from archloop.contracts.messages import (
    BOOTSTRAP,
    AdapterTrained,
    CandidateEvaluatedFailed,
    CandidateEvaluatedOk,
    CandidateGenerated,
    CandidateJudged,
    CandidateLost,
    CandidateSubmitted,
    RunFinished,
    RunRequested,
    RunSteered,
)
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import SourceCode
from archloop.errors import InvalidInput, NotFound, Unavailable
from services.registry.records import Judgement, Loss
from services.registry.stores import mongo_rows as rows
from services.registry.stores.mongo_rows import Document
from services.registry.stores.recording import no_cycle, recorded_act, require_same, words_of

Database = AsyncDatabase[dict[str, Any]]

_ANSWER = {"generation": "generated", "evaluation": "evaluation", "judgement": "judgement"}
_RACES = 100
# A candidate is one document of at most 16 MiB, and three messages bring it its text and numbers.
_LARGEST_MESSAGE = 4 * 1024**2


class Step(NamedTuple):
    """Fields of a candidate to be set if it is still as `where` says."""

    where: Mapping[str, Any]
    fields: Mapping[str, Any]


def require_writable(message: Message) -> None:
    """Check that the whole message can be written. Raises an error of BSON, or InvalidInput where it is too large."""
    if (size := len(bson.encode(message.data()))) > _LARGEST_MESSAGE:
        raise InvalidInput(message.type, f"{size} bytes", f"at most {_LARGEST_MESSAGE}")


async def append_event(db: Database, message: Message, data: Document, at: datetime) -> bool:
    """Append the message to the event log; return whether it was not there yet.

    An event is only ever inserted right after the last one, whoever writes, so whoever reads in order of `_id`
    never sees one appear behind its back, as could happen if numbers were given out before they are used.
    """
    event = {"id": message.id, "type": message.type, "run_id": message.run_id, "time": at, "data": data}
    for _ in range(_RACES):
        last = await db.events.find_one(projection=["_id"], sort=[("_id", -1)])
        if await _inserted(db, "events", {"_id": last["_id"] + 1 if last else 1, **event}):
            return True
        if await db.events.find_one({"id": message.id}, projection=["_id"]):
            return False
    raise Unavailable(f"event log: {_RACES} times another writer was faster; is one registry running per database?")


async def apply(message: Message, db: Database, at: datetime) -> bool:
    """Update the rows that the message is about; return whether that changed anything."""
    if isinstance(message, CandidateMessage):
        return await _apply_steps(db, message, steps(message, at))
    if isinstance(message, RunRequested):
        return await _request_run(db, message, at)
    if isinstance(message, RunSteered):
        return await _keep_act(db, message, at)
    if isinstance(message, RunFinished):
        end = {"finished": at, "reason": message.reason}
        return await _changed(db, "runs", {"_id": message.run_id, "finished": None}, end)
    if isinstance(message, AdapterTrained):
        return await _keep_adapter(db, message, at)
    return False


@singledispatch
def steps(message: CandidateMessage, at: datetime) -> Sequence[Step]:  # noqa: ARG001 - by its type alone
    """Return what the message changes of its candidate; for requests nothing, as the event log keeps them."""
    return ()


@steps.register
def _(message: CandidateGenerated, at: datetime) -> Sequence[Step]:
    answer = {"prompt": message.prompt, "adapter": message.adapter, "problem": message.problem}
    origin = {"parent": message.parent, "submitter": message.submitter}
    fields = {**answer, **origin, "usage": message.usage.model_dump(mode="json"), "generated": at}
    # An evaluation may have come first, and its code stands: the prompt does not depend on what was answered to it.
    return _code(message.code), Step({"generated": None}, fields)


@steps.register
def _(message: CandidateSubmitted, at: datetime) -> Sequence[Step]:
    return _code(message.code), Step({"generated": None}, {"generated": at})


@steps.register(CandidateEvaluatedOk)
@steps.register(CandidateEvaluatedFailed)
def _(message: CandidateEvaluatedOk | CandidateEvaluatedFailed, at: datetime) -> Sequence[Step]:
    evaluation = message.evaluation
    words = words_of(evaluation.detail)
    fields = {"evaluation": evaluation.model_dump(mode="json"), "evaluated": at, "error_words": words}
    # An evaluation of other code than the recorded one says nothing of this candidate.
    return _code(message.code), Step({"evaluation": None, "code_sha256": message.code.sha256}, fields)


@steps.register
def _(message: CandidateJudged, at: datetime) -> Sequence[Step]:
    judgement = Judgement.model_validate(message, from_attributes=True).model_dump(mode="json")
    # A verdict on other code than the recorded one says nothing of this candidate.
    of_this = {} if message.code_sha256 is None else {"code_sha256": {"$in": [None, message.code_sha256]}}
    return (Step({"judgement": None, **of_this}, {"judgement": judgement, "judged": at}),)


@steps.register
def _(message: CandidateLost, at: datetime) -> Sequence[Step]:
    loss = Loss.model_validate(message, from_attributes=True).model_dump(mode="json")
    return (Step({_ANSWER[message.step]: None}, {"lost": loss, "given_up": at}),)


async def close_cycle(db: Database, key: str, admitted: Sequence[str], at: datetime) -> None:
    """Decide, mark the candidates, and only then close, so that a cycle that was left half-way is closed again.

    The first decision is kept with the cycle: whoever closes again goes on with that one.
    """
    decision = {"at": at, "admitted": list(admitted)}
    await _changed(db, "cycles", {"_id": key, "decision": None}, {"decision": decision})
    cycle = await db.cycles.find_one({"_id": key})
    if cycle is None or cycle["closed"] is not None:
        return
    decision = cycle["decision"]
    unmarked = {"_id": {"$in": decision["admitted"]}, "admitted": None}
    await db.candidates.update_many(unmarked, {"$set": {"admitted": decision["at"]}})
    await _changed(db, "cycles", {"_id": key, "closed": None}, {"closed": decision["at"]})


async def insert(db: Database, collection: str, key: str, document: Document) -> bool:
    """Insert the document; return whether there was none of that key."""
    return await _inserted(db, collection, {"_id": key, **document})


async def _apply_steps(db: Database, message: CandidateMessage, taken: Sequence[Step]) -> bool:
    if not taken:
        return False
    if message.submission is None:
        await _required_cycle(db, message.run_id, message.cycle)
    key = message.candidate_id
    if not await db.candidates.find_one({"_id": key}, projection=["_id"]):
        await insert(db, "candidates", key, rows.blank(message))
    # A candidate that was given up hears nothing more.
    changes = [await _changed(db, "candidates", {"_id": key, "lost": None, **s.where}, s.fields) for s in taken]
    await _settle(db, key)
    return any(changes)


async def _settle(db: Database, key: str) -> None:
    candidate = await db.candidates.find_one({"_id": key, "settled": False}, rows.WITHOUT_TEXT)
    if candidate is not None and rows.candidate(candidate).awaits is None:
        await _changed(db, "candidates", {"_id": key}, {"settled": True})


async def _request_run(db: Database, message: RunRequested, at: datetime) -> bool:
    run = {"spec": message.spec.model_dump(mode="json"), "created": at, "finished": None, "reason": None}
    if await insert(db, "runs", message.run_id, run):
        return True
    recorded = await db.runs.find_one({"_id": message.run_id})
    assert recorded is not None
    require_same(message.run_id, RunSpec.model_validate(recorded["spec"]), message.spec)
    return False


async def _keep_act(db: Database, message: RunSteered, at: datetime) -> bool:
    """Append the act to its run's, in one write, so that of two at once one is the first."""
    act = recorded_act(message, at).model_dump(mode="json")
    unheard = {"_id": message.run_id, "acts.act_id": {"$ne": message.act_id}}
    if (await db.runs.update_one(unheard, {"$push": {"acts": act}})).modified_count:
        return True
    if await db.runs.find_one({"_id": message.run_id}, projection=["_id"]) is None:
        raise NotFound("run", message.run_id)
    return False


async def _keep_adapter(db: Database, message: AdapterTrained, at: datetime) -> bool:
    parent = await _parent(db, message)
    adapter = {**message.data(), "parent": parent, "trained": at}
    return await insert(db, "adapters", rows.cycle_key(message.run_id, message.cycle), adapter)


async def _parent(db: Database, message: AdapterTrained) -> str | None:
    """Return the adapter that wrote the cycle; None for a run's first."""
    if message.cycle == BOOTSTRAP:
        if await db.runs.find_one({"_id": message.run_id}, projection=["_id"]) is None:
            raise NotFound("run", message.run_id)
        return None
    adapter = (await _required_cycle(db, message.run_id, message.cycle))["adapter"]
    return adapter["adapter"] if adapter else None


async def _required_cycle(db: Database, run_id: str, cycle: int) -> Document:
    found = await db.cycles.find_one({"_id": rows.cycle_key(run_id, cycle)})
    if found is None:
        raise no_cycle(run_id, cycle)
    return found


def _code(code: SourceCode) -> Step:
    words = words_of(code.text or "")
    return Step({"code": None}, {"code_sha256": code.sha256, "code": code.model_dump(mode="json"), "code_words": words})


async def _changed(db: Database, collection: str, where: Document, fields: Document) -> bool:
    return (await db[collection].update_one(where, {"$set": fields})).modified_count > 0


async def _inserted(db: Database, collection: str, document: Document) -> bool:
    try:
        await db[collection].insert_one(dict(document))
    except DuplicateKeyError:
        return False
    return True
