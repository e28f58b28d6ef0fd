"""The run controller's part of the store, on MongoDB: who leads, how far was asked, what is still open."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.errors import DuplicateKeyError
from typing_extensions import override

from archloop.contracts.base import CandidateMessage, Message
from services.registry.records import Step
from services.registry.stores import mongo_rows as rows
from services.registry.stores.control_port import Control, Lease, still_open
from services.registry.stores.mongo_client import translated
from services.registry.stores.mongo_writes import Database
from services.registry.stores.recording import in_a_cycle

_LEASE = "registry"
_OPEN = {"index": 1, "generated": 1, "evaluation.outcome": 1}


class MongoControl(Control):
    """Updates that name the values they replace, so that of two at once one has no effect."""

    _db: Database
    _host: str

    @override
    async def lease(self) -> Lease | None:
        with translated(self._host):
            found = await self._db.leases.find_one({"_id": _LEASE})
        return Lease(found["holder"], found["beat"]) if found else None

    @override
    async def take(self, seen: Lease | None, holder: str) -> Lease | None:
        own = Lease(holder, 1 if seen is None else seen.beat + 1)
        taken = await self._compared("leases", _LEASE, seen and seen._asdict(), own._asdict())
        return own if taken else None

    @override
    async def unfinished(self) -> list[str]:
        order = [("created", 1), ("_id", 1)]
        with translated(self._host):
            found = await self._db.runs.find({"finished": None}, {"_id": 1}, sort=order).to_list()
        return [each["_id"] for each in found]

    @override
    async def acted(self) -> dict[str, int]:
        steered = {"finished": None, "acts.0": {"$exists": True}}
        with translated(self._host):
            found = self._db.runs.find(steered, {"acts.act_id": 1})
            return {each["_id"]: len(each["acts"]) async for each in found}

    @override
    async def open_steps(self, run_id: str, cycle: int, below: int) -> dict[int, Step]:
        place = {"run_id": run_id, "cycle": cycle, "index": {"$lt": below}}
        with translated(self._host):
            there = {each["index"] async for each in self._db.candidates.find(place, {"index": 1, "_id": 0})}
            unsettled = await self._db.candidates.find({**place, "settled": False}, _OPEN).to_list()
        return still_open({each["index"]: rows.awaited(each) for each in unsettled}, there, below)

    @override
    async def asked(self, run_uid: str, scope: str) -> int:
        with translated(self._host):
            found = await self._db.asked.find_one({"_id": f"{run_uid}/{scope}"})
        return found["count"] if found else 0

    @override
    async def claim(self, run_uid: str, scope: str, start: int, stop: int) -> bool:
        before = {"count": start} if start else None
        return await self._compared("asked", f"{run_uid}/{scope}", before, {"count": stop})

    @override
    async def unsaid(self, message_ids: Sequence[str]) -> set[str]:
        with translated(self._host):
            found = self._db.events.find({"id": {"$in": list(message_ids)}}, {"id": 1, "_id": 0})
            said = {each["id"] async for each in found}
        return set(message_ids) - said

    async def _step(self, message: Message) -> Step | None:
        if not isinstance(message, CandidateMessage):
            return None
        unsettled = {"_id": message.candidate_id, "settled": False}
        found = await self._db.candidates.find_one(unsettled, {"generated": 1, "evaluation.outcome": 1})
        return rows.awaited(found) if found else None

    async def _complete(self, message: Message) -> bool:
        """Return whether the message's cycle has nothing left to settle.

        It counts last, which takes long for a large cycle: not while the last candidate is missing, or one is open.
        """
        if not in_a_cycle(message):
            return False
        key = rows.cycle_key(message.run_id, message.cycle)
        opened = await self._db.cycles.find_one({"_id": key, "closed": None}, projection=["steered.wanted"])
        if not opened:
            return False
        wanted = await self._wanted(message.run_id, opened)
        cycle = {"run_id": message.run_id, "cycle": message.cycle}
        if not await self._db.candidates.find_one({**cycle, "index": wanted - 1}, projection=["_id"]):
            return False
        if await self._db.candidates.find_one({**cycle, "settled": False}, projection=["_id"]):
            return False
        settled: int = await self._db.candidates.count_documents({**cycle, "settled": True})
        return settled >= wanted

    async def _wanted(self, run_id: str, opened: rows.Document) -> int:
        if opened.get("steered"):
            return int(opened["steered"]["wanted"])
        run = await self._db.runs.find_one({"_id": run_id}, projection=["spec.candidates"])
        return int(run["spec"]["candidates"]) if run else 0

    async def _compared(
        self, collection: str, key: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]
    ) -> bool:
        """Set the document to `after` if it is as `before`, or not there for None; return whether it was."""
        with translated(self._host):
            if before is not None:
                changed = await self._db[collection].update_one({"_id": key, **before}, {"$set": after})
                return changed.modified_count > 0
            try:
                await self._db[collection].insert_one({"_id": key, **after})
            except DuplicateKeyError:
                return False
        return True
