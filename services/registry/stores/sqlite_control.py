"""The run controller's part of the store, on SQLite: who leads, how far was asked, what is still open."""

import sqlite3
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from typing_extensions import override

from services.registry.records import Step
from services.registry.stores.control_port import Control, Lease, still_open

_LEASE = "SELECT holder, beat FROM lease"
_FIRST_LEASE = "INSERT INTO lease VALUES (1, ?, ?) ON CONFLICT DO NOTHING"
_NEXT_LEASE = "UPDATE lease SET holder = ?, beat = ? WHERE holder = ? AND beat = ?"
_UNFINISHED = "SELECT run_id FROM runs WHERE finished IS NULL ORDER BY created, run_id"
_ACTED = """
SELECT run_id, count(*) AS count FROM acts JOIN runs USING (run_id) WHERE finished IS NULL GROUP BY run_id
"""
_PLACE = "run_id = :run_id AND cycle = :cycle AND idx < :below"
_THERE = f"SELECT idx FROM candidates WHERE {_PLACE}"  # noqa: S608 - made of constants
_OPEN = f"""
SELECT idx, CASE WHEN generated IS NULL THEN 'generation' WHEN outcome IS NULL THEN 'evaluation' ELSE 'judgement' END
FROM candidate_rows WHERE settled = 0 AND {_PLACE}
"""  # noqa: S608
_ASKED = "SELECT count FROM asked WHERE run_uid = :run_uid AND scope = :scope"
_FIRST_ASKED = "INSERT INTO asked VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_NEXT_ASKED = "UPDATE asked SET count = ? WHERE run_uid = ? AND scope = ? AND count = ?"


class SqliteControl(Control):
    """Updates that name the values they replace, so that of two at once one has no effect."""

    @abstractmethod
    def _rows(self, sql: str, values: Mapping[str, Any]) -> list[sqlite3.Row]:
        """Return what a query finds."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """Begin a transaction: all of it is written, or nothing."""

    @override
    async def lease(self) -> Lease | None:
        found = self._rows(_LEASE, {})
        return Lease(*found[0]) if found else None

    @override
    async def take(self, seen: Lease | None, holder: str) -> Lease | None:
        own = Lease(holder, 1 if seen is None else seen.beat + 1)
        taken = self._changed(_FIRST_LEASE, own) if seen is None else self._changed(_NEXT_LEASE, (*own, *seen))
        return own if taken else None

    @override
    async def unfinished(self) -> list[str]:
        return [row["run_id"] for row in self._rows(_UNFINISHED, {})]

    @override
    async def acted(self) -> dict[str, int]:
        return {row["run_id"]: row["count"] for row in self._rows(_ACTED, {})}

    @override
    async def open_steps(self, run_id: str, cycle: int, below: int) -> dict[int, Step]:
        place = {"run_id": run_id, "cycle": cycle, "below": below}
        there = {idx for (idx,) in self._rows(_THERE, place)}
        return still_open(dict(map(tuple, self._rows(_OPEN, place))), there, below)

    @override
    async def asked(self, run_uid: str, scope: str) -> int:
        found = self._rows(_ASKED, {"run_uid": run_uid, "scope": scope})
        return int(found[0]["count"]) if found else 0

    @override
    async def claim(self, run_uid: str, scope: str, start: int, stop: int) -> bool:
        if start == 0:
            return self._changed(_FIRST_ASKED, (run_uid, scope, stop))
        return self._changed(_NEXT_ASKED, (stop, run_uid, scope, start))

    @override
    async def unsaid(self, message_ids: Sequence[str]) -> set[str]:
        said = "SELECT 1 FROM events WHERE id = :id"
        return {each for each in message_ids if not self._rows(said, {"id": each})}

    def _changed(self, sql: str, values: Sequence[Any]) -> bool:
        with self._transaction() as db:
            return db.execute(sql, values).rowcount > 0
