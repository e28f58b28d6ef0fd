"""The store on MongoDB: one document per run, cycle, candidate, adapter and event."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from pymongo import IndexModel
from typing_extensions import override

from archloop.contracts.base import Message
from archloop.contracts.messages import RunRequested
from archloop.contracts.values import AdapterRef, Evaluation
from services.registry.acts import Steered
from services.registry.records import (
    Adapter,
    Architecture,
    Candidate,
    CandidateQuery,
    Cycle,
    Event,
    Page,
    Recorded,
    Run,
    Source,
)
from services.registry.stores import mongo_rows as rows
from services.registry.stores.mongo_client import Client, closed, connected, host_of, reached, translated, uncut
from services.registry.stores.mongo_control import MongoControl
from services.registry.stores.mongo_writes import append_event, apply, close_cycle, insert, require_writable
from services.registry.stores.port import Store
from services.registry.stores.recording import event_text, require_known

_VERSION = 1
_INDEXES = {
    "runs": [IndexModel([("finished", 1)])],
    "cycles": [IndexModel([("run_id", 1), ("cycle", 1)], unique=True)],
    "candidates": [
        IndexModel([("run_id", 1), ("cycle", 1), ("index", 1)]),
        IndexModel([("run_id", 1), ("settled", 1), ("cycle", 1)]),
        IndexModel([("code_sha256", 1), ("evaluation.protocol_sha256", 1), ("evaluated", 1)]),
        IndexModel([("run_id", 1), ("code_words", 1)]),
        IndexModel([("run_id", 1), ("error_words", 1)]),
        IndexModel([("parent", 1)]),
        IndexModel([("admitted", 1)], partialFilterExpression={"admitted": {"$type": "date"}}),
    ],
    "adapters": [IndexModel([("run_id", 1), ("cycle", 1)], unique=True)],
    "events": [
        IndexModel([("id", 1)], unique=True),
        IndexModel([("run_id", 1), ("_id", 1)]),
        IndexModel([("run_id", 1), ("type", 1)]),
    ],
}


@uncut
class MongoStore(MongoControl, Store):
    """The store on MongoDB, made by `open`. Times are kept to the millisecond, which is what MongoDB's dates have.

    A message is one write after the other, its event last: one that was cut short is as if it had not been
    delivered yet, and is delivered again. Messages take turns, so that what is said twice at once has one effect.
    """

    def __init__(self, client: Client, url: str, database: str) -> None:
        self._client, self._url, self._host = client, url, host_of(url)
        self._db = client[database]
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, url: str, database: str = "archloop", *, wait_s: float = 5.0) -> Self:
        """Connect and make the indexes. Raises Unavailable, Misconfigured, InvalidInput.

        Args:
            url: The server's connection string.
            database: The database's name.
            wait_s: How many seconds a server is looked for before it is Unavailable.

        """
        client = connected(url, wait_s)
        try:
            with translated(host_of(url)):
                store = cls(client, url, database)
                await store._prepare()
        except BaseException:
            await client.close()
            raise
        return store

    @override
    async def record(self, message: Message, at: datetime) -> Recorded:
        data = json.loads(event_text(message))
        async with self._turn:
            with translated(self._host):
                require_writable(message)
                if isinstance(message, RunRequested):  # somebody may have emptied the database, indexes and all
                    await self._prepare()
                changed = await apply(message, self._db, at)
                logged = await append_event(self._db, message, data, at)
                step = await self._step(message)
                return Recorded(changed or logged, step is None and await self._complete(message), step)

    @override
    async def open_cycle(
        self, run_id: str, cycle: int, adapter: AdapterRef | None, at: datetime, steered: Steered | None = None
    ) -> None:
        written_by, made = (each.model_dump(mode="json") if each else None for each in (adapter, steered))
        opened = {"run_id": run_id, "cycle": cycle, "adapter": written_by, "opened": at, "steered": made}
        with translated(self._host):
            key = rows.cycle_key(run_id, cycle)
            await insert(self._db, "cycles", key, {**opened, "closed": None, "decision": None})

    @override
    async def close_cycle(self, run_id: str, cycle: int, admitted: Sequence[str], at: datetime) -> None:
        with translated(self._host):
            await close_cycle(self._db, rows.cycle_key(run_id, cycle), admitted, at)

    @override
    async def run(self, run_id: str) -> Run | None:
        found = await self._one("runs", {"_id": run_id})
        return rows.run(found) if found else None

    @override
    async def runs(self, *, offset: int = 0, limit: int | None = None) -> Page[Run]:
        total, found = await self._page("runs", {}, [("created", -1), ("_id", 1)], offset, limit)
        return Page(total=total, items=tuple(map(rows.run, found)))

    @override
    async def cycles(self, run_id: str) -> list[Cycle]:
        found = await self._all("cycles", {"run_id": run_id}, [("cycle", 1)])
        settled = await self._settled(run_id)
        return [rows.cycle(each, settled.get(each["cycle"], 0)) for each in found]

    @override
    async def candidates(self, query: CandidateQuery) -> Page[Candidate]:
        with translated(self._host):
            total = await self._db.candidates.count_documents(rows.candidate_filter(query))
        found = await self._aggregated(rows.candidate_page(query))
        return Page(total=total, items=tuple(map(rows.candidate, found)))

    @override
    async def candidate(self, candidate_id: str) -> Candidate | None:
        found = await self._one("candidates", {"_id": candidate_id}, rows.WITHOUT_TEXT)
        return rows.candidate(found) if found else None

    @override
    async def source(self, candidate_id: str) -> Source | None:
        found = await self._one("candidates", {"_id": candidate_id, "code": {"$ne": None}}, {"code": 1, "prompt": 1})
        return rows.source(found) if found else None

    @override
    async def architectures(
        self, run_id: str | None = None, *, offset: int = 0, limit: int | None = None
    ) -> Page[Architecture]:
        where: dict[str, Any] = {"admitted": {"$type": "date"}}
        if run_id is not None:
            where["run_id"] = run_id
        total, found = await self._page("candidates", where, rows.BEST_FIRST, offset, limit, rows.WITHOUT_TEXT)
        return Page(total=total, items=tuple(map(rows.architecture, found)))

    @override
    async def adapters(self, run_id: str | None = None) -> list[Adapter]:
        where = {} if run_id is None else {"run_id": run_id}
        return list(map(rows.adapter, await self._all("adapters", where, [("run_id", 1), ("cycle", 1)])))

    @override
    async def evaluation(self, code_sha256: str, protocol_sha256: str) -> Evaluation | None:
        where = {"code_sha256": code_sha256, "evaluation.protocol_sha256": protocol_sha256}
        found = await self._all("candidates", where, [("evaluated", 1), ("_id", 1)], limit=1, fields={"evaluation": 1})
        return Evaluation.model_validate(found[0]["evaluation"]) if found else None

    @override
    async def events(
        self, after: int = 0, *, run_id: str | None = None, types: Sequence[str] = (), limit: int = 1000
    ) -> list[Event]:
        where: dict[str, Any] = {"_id": {"$gt": after}}
        if types:
            where["type"] = {"$in": list(types)}
        if run_id is not None:
            where["run_id"] = run_id
        return list(map(rows.event, await self._all("events", where, [("_id", 1)], limit=limit)))

    @override
    async def last_event(self) -> int:
        found = await self._all("events", {}, [("_id", -1)], limit=1, fields={"_id": 1})
        return int(found[0]["_id"]) if found else 0

    @override
    async def said(self, message_id: str) -> bool:
        return await self._one("events", {"id": message_id}, {"_id": 1}) is not None

    @override
    async def ping(self) -> None:
        await reached(self._client, self._url)

    @override
    async def close(self) -> None:
        await closed(self._client)

    async def _prepare(self) -> None:
        await insert(self._db, "meta", "schema", {"version": _VERSION})
        schema = await self._db.meta.find_one({"_id": "schema"})
        assert schema is not None
        require_known(self._db.name, schema["version"], _VERSION)
        for collection, indexes in _INDEXES.items():
            await self._db[collection].create_indexes(indexes)

    async def _settled(self, run_id: str) -> dict[int, int]:
        settled = {"$match": {"run_id": run_id, "settled": True, "cycle": {"$ne": None}}}
        counted = await self._aggregated([settled, {"$group": {"_id": "$cycle", "count": {"$sum": 1}}}])
        return {each["_id"]: each["count"] for each in counted}

    async def _one(
        self, collection: str, where: rows.Document, fields: Mapping[str, int] | None = None
    ) -> rows.Document | None:
        with translated(self._host):
            return await self._db[collection].find_one(where, fields)

    async def _all(
        self,
        collection: str,
        where: rows.Document,
        order: rows.SortKeys,
        *,
        offset: int = 0,
        limit: int | None = None,
        fields: Mapping[str, int] | None = None,
    ) -> Sequence[rows.Document]:
        if limit == 0:  # MongoDB takes it for no limit.
            return []
        with translated(self._host):
            return await self._db[collection].find(where, fields, offset, limit or 0, sort=order).to_list()

    async def _page(
        self,
        collection: str,
        where: rows.Document,
        order: rows.SortKeys,
        offset: int,
        limit: int | None,
        fields: Mapping[str, int] | None = None,
    ) -> tuple[int, Sequence[rows.Document]]:
        with translated(self._host):
            total = await self._db[collection].count_documents(where)
        return total, await self._all(collection, where, order, offset=offset, limit=limit, fields=fields)

    async def _aggregated(self, pipeline: Sequence[Mapping[str, Any]]) -> Sequence[rows.Document]:
        with translated(self._host):
            return await (await self._db.candidates.aggregate(pipeline)).to_list()
