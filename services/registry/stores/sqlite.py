"""The store on SQLite: one file, write-ahead log, one connection on the event loop's thread."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from typing_extensions import override

from archloop.contracts.base import Message
from archloop.contracts.values import AdapterRef, Evaluation
from archloop.errors import IntegrityError, InvalidInput, Unavailable
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
from services.registry.stores import sqlite_rows as rows
from services.registry.stores import sqlite_schema
from services.registry.stores.port import Store
from services.registry.stores.recording import in_a_cycle
from services.registry.stores.sqlite_control import SqliteControl
from services.registry.stores.sqlite_writes import apply, log_event, step_of

_PAGE = """
SELECT candidate_rows.* FROM (SELECT candidate_id FROM found WHERE {where} ORDER BY {order} LIMIT :limit OFFSET :offset)
JOIN candidate_rows USING (candidate_id) ORDER BY {order}
"""
_COMPLETE = """
SELECT 1 FROM cycles JOIN runs USING (run_id)
WHERE run_id = ? AND cycle = ? AND closed IS NULL
    AND settled >= coalesce(steered ->> 'wanted', spec ->> 'candidates')
"""
_EVENTS = "SELECT * FROM events WHERE seq > :after{more} ORDER BY seq LIMIT :limit"
_OF_RUN = " AND run_id = :run_id"
_OF_TYPES = " AND type IN (SELECT value FROM json_each(:types))"
_ADAPTERS = """
SELECT a.data, a.trained, c.adapter FROM adapters a LEFT JOIN cycles c USING (run_id, cycle)
WHERE :run_id IS NULL OR run_id = :run_id ORDER BY run_id, cycle
"""


class SqliteStore(SqliteControl, Store):
    """The store on SQLite. Statements take microseconds, so they run where they are awaited and never interleave."""

    def __init__(self, path: Path, busy_s: float = 1.0) -> None:
        self._path = path
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=busy_s, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;")
            sqlite_schema.prepare(self._db, path)

    @override
    async def record(self, message: Message, at: datetime) -> Recorded:
        with self._transaction() as db:
            before = db.total_changes
            log_event(db, message, at)
            apply(message, db, at)
            new = db.total_changes > before
            return Recorded(new, self._complete(message), step_of(db, message))

    @override
    async def open_cycle(
        self, run_id: str, cycle: int, adapter: AdapterRef | None, at: datetime, steered: Steered | None = None
    ) -> None:
        written_by, made = (each.model_dump_json() if each else None for each in (adapter, steered))
        with self._transaction() as db:
            db.execute(
                "INSERT INTO cycles (run_id, cycle, adapter, opened, steered) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (run_id, cycle, written_by, at.timestamp(), made),
            )

    @override
    async def close_cycle(self, run_id: str, cycle: int, admitted: Sequence[str], at: datetime) -> None:
        with self._transaction() as db:
            closed = db.execute(
                "UPDATE cycles SET closed = ? WHERE run_id = ? AND cycle = ? AND closed IS NULL",
                (at.timestamp(), run_id, cycle),
            )
            if closed.rowcount:
                architectures = [(candidate_id, at.timestamp()) for candidate_id in admitted]
                db.executemany("INSERT INTO architectures VALUES (?, ?)", architectures)

    @override
    async def run(self, run_id: str) -> Run | None:
        found = self._rows("SELECT * FROM run_rows WHERE run_id = :run_id", {"run_id": run_id})
        return rows.run(found[0]) if found else None

    @override
    async def runs(self, *, offset: int = 0, limit: int | None = None) -> Page[Run]:
        total, found = self._page("run_rows", "created DESC, run_id", {}, offset, limit)
        return Page(total=total, items=tuple(map(rows.run, found)))

    @override
    async def cycles(self, run_id: str) -> list[Cycle]:
        found = self._rows("SELECT * FROM cycles WHERE run_id = :run_id ORDER BY cycle", {"run_id": run_id})
        return list(map(rows.cycle, found))

    @override
    async def candidates(self, query: CandidateQuery) -> Page[Candidate]:
        where, values = rows.candidate_filter(query)
        order = rows.candidate_order(query)
        (total,) = self._rows(f"SELECT count(*) FROM found WHERE {where}", values)[0]  # noqa: S608 - made of constants
        bounds = {"limit": -1 if query.limit is None else query.limit, "offset": query.offset}
        found = self._rows(_PAGE.format(where=where, order=order), {**values, **bounds})
        return Page(total=total, items=tuple(map(rows.candidate, found)))

    @override
    async def candidate(self, candidate_id: str) -> Candidate | None:
        found = self._rows("SELECT * FROM candidate_rows WHERE candidate_id = :id", {"id": candidate_id})
        return rows.candidate(found[0]) if found else None

    @override
    async def source(self, candidate_id: str) -> Source | None:
        sql = "SELECT candidate_id, code, prompt FROM candidates WHERE candidate_id = :id AND code IS NOT NULL"
        found = self._rows(sql, {"id": candidate_id})
        return rows.source(found[0]) if found else None

    @override
    async def architectures(
        self, run_id: str | None = None, *, offset: int = 0, limit: int | None = None
    ) -> Page[Architecture]:
        where = "admitted IS NOT NULL AND (:run_id IS NULL OR run_id = :run_id)"
        order = "accuracy DESC, run_id, cycle, idx"
        total, found = self._page(f"candidate_rows WHERE {where}", order, {"run_id": run_id}, offset, limit)
        return Page(total=total, items=tuple(map(rows.architecture, found)))

    @override
    async def adapters(self, run_id: str | None = None) -> list[Adapter]:
        return list(map(rows.adapter, self._rows(_ADAPTERS, {"run_id": run_id})))

    @override
    async def evaluation(self, code_sha256: str, protocol_sha256: str) -> Evaluation | None:
        sql = "SELECT evaluation FROM evaluations WHERE code_sha256 = :c AND protocol_sha256 = :p ORDER BY evaluated"
        found = self._rows(f"{sql} LIMIT 1", {"c": code_sha256, "p": protocol_sha256})
        return Evaluation.model_validate_json(found[0]["evaluation"]) if found else None

    @override
    async def events(
        self, after: int = 0, *, run_id: str | None = None, types: Sequence[str] = (), limit: int = 1000
    ) -> list[Event]:
        sql = _EVENTS.format(more=("" if run_id is None else _OF_RUN) + (_OF_TYPES if types else ""))
        values = {"after": after, "run_id": run_id, "types": json.dumps(list(types)), "limit": limit}
        return list(map(rows.event, self._rows(sql, values)))

    @override
    async def last_event(self) -> int:
        (last,) = self._rows("SELECT coalesce(max(seq), 0) FROM events", {})[0]
        return int(last)

    @override
    async def said(self, message_id: str) -> bool:
        return bool(self._rows("SELECT 1 FROM events WHERE id = :id", {"id": message_id}))

    @override
    async def ping(self) -> None:
        self._rows("SELECT 1", {})

    @override
    async def close(self) -> None:
        self._db.close()

    def _complete(self, message: Message) -> bool:
        if not in_a_cycle(message):
            return False
        return self._db.execute(_COMPLETE, (message.run_id, message.cycle)).fetchone() is not None

    def _rows(self, sql: str, values: Mapping[str, Any]) -> list[sqlite3.Row]:
        with self._errors(), closing(self._db.execute(sql, values)) as cursor:
            return cursor.fetchall()

    def _page(
        self, source: str, order: str, values: Mapping[str, Any], offset: int, limit: int | None
    ) -> tuple[int, list[sqlite3.Row]]:
        (total,) = self._rows(f"SELECT count(*) FROM {source}", values)[0]  # noqa: S608 - made of constants
        bounds = {"limit": -1 if limit is None else limit, "offset": offset}
        sql = f"SELECT * FROM {source} ORDER BY {order} LIMIT :limit OFFSET :offset"  # noqa: S608
        return total, self._rows(sql, {**values, **bounds})

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            raise Unavailable(f"registry database {self._path}: {error}") from error
        except OverflowError as error:
            raise InvalidInput("number", str(error), "an integer of at most 64 bits") from error
        except sqlite3.DatabaseError as error:
            raise IntegrityError(f"registry database {self._path}: {error}") from error
