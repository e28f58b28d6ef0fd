"""The signature store in one SQLite file."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from typing_extensions import override

from archloop.contracts.messages import CandidateJudged
from archloop.contracts.values import Family
from archloop.errors import Conflict, IntegrityError, InvalidInput, Unavailable
from services.novelty.entries import Entry, EntryPart
from services.novelty.features import Features
from services.novelty.store import Arrival, SignatureStore

_SCHEMA = """
CREATE TABLE IF NOT EXISTS made_with (settings TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS arrivals (
    candidate TEXT PRIMARY KEY, run_id TEXT NOT NULL, cycle INTEGER NOT NULL, idx INTEGER NOT NULL, submission TEXT,
    scope TEXT NOT NULL, threshold REAL NOT NULL,
    tokens_sha256 TEXT, shingles BLOB, signature BLOB, family TEXT,
    released_by TEXT, position INTEGER UNIQUE, judged TEXT, graph_sha256 TEXT, protocol_sha256 TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS in_order ON arrivals (run_id, cycle, idx) WHERE submission IS NULL;
CREATE INDEX IF NOT EXISTS settled ON arrivals (run_id, cycle, idx) WHERE submission IS NULL AND released_by NOT NULL;
CREATE INDEX IF NOT EXISTS waiting ON arrivals (run_id, cycle, idx) WHERE submission IS NULL AND released_by IS NULL;
CREATE INDEX IF NOT EXISTS released ON arrivals (released_by, position);
CREATE INDEX IF NOT EXISTS identical ON arrivals (tokens_sha256, position) WHERE position NOT NULL;
CREATE TABLE IF NOT EXISTS sets (position INTEGER PRIMARY KEY, candidate TEXT NOT NULL, shingles BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS segments (number INTEGER PRIMARY KEY, packed BLOB NOT NULL);
"""
_GRAPHS = """
CREATE INDEX IF NOT EXISTS same_graph ON arrivals (graph_sha256, position)
    WHERE position NOT NULL AND graph_sha256 NOT NULL;
"""
# Columns of stores that were made before there were graphs.
_LATER = {"graph_sha256": "TEXT", "protocol_sha256": "TEXT NOT NULL DEFAULT ''"}
_AT_MARK = """
SELECT candidate, run_id, cycle, idx, submission, scope, threshold, tokens_sha256, shingles, signature, family,
    graph_sha256, protocol_sha256
FROM arrivals WHERE run_id = :run AND cycle = :cycle AND submission IS NULL AND released_by IS NULL AND idx <= (
    SELECT coalesce(max(idx) + 1, 0) FROM arrivals
    WHERE run_id = :run AND cycle = :cycle AND submission IS NULL AND released_by NOT NULL)
ORDER BY idx, candidate LIMIT 1
"""
_SETTLE = """
UPDATE arrivals SET released_by = :by, judged = :judged, position = CASE WHEN :judged IS NULL THEN NULL
    ELSE (SELECT coalesce(max(position) + 1, 0) FROM arrivals) END
WHERE candidate = :candidate
"""
# The shingles of what is judged stand by position, where they are read quickest.
_MOVE = (
    "INSERT INTO sets SELECT position, candidate, shingles FROM arrivals WHERE position NOT NULL AND {}",
    "UPDATE arrivals SET shingles = NULL WHERE position NOT NULL AND {}",
)
_ENTRIES = """
SELECT a.candidate, CASE WHEN submission IS NULL THEN run_id ELSE '' END, tokens_sha256, sets.shingles, signature,
    graph_sha256, protocol_sha256
FROM sets JOIN arrivals AS a USING (candidate) WHERE sets.position >= ? ORDER BY sets.position
"""
# See Entry.is_same.
_IDENTICAL = """
SELECT position, sets.candidate, shingles FROM sets JOIN (
    SELECT * FROM (SELECT position FROM arrivals
        WHERE graph_sha256 = :graph AND graph_sha256 NOT NULL AND position NOT NULL
        AND (:run IS NULL OR (run_id = :run AND submission IS NULL)) ORDER BY position LIMIT 1)
    UNION ALL
    SELECT * FROM (SELECT position FROM arrivals
        WHERE tokens_sha256 = :tokens AND position NOT NULL
        AND (:graph IS NULL OR graph_sha256 IS NULL OR protocol_sha256 != :protocol)
        AND (:run IS NULL OR (run_id = :run AND submission IS NULL)) ORDER BY position LIMIT 1)
) USING (position) ORDER BY position LIMIT 1
"""


class SqliteSignatures(SignatureStore):
    """Keeps signatures in one SQLite file, or in memory under the path `:memory:`.

    `made_with` are the settings that signatures depend on. Raises IntegrityError if the file is no such store, Conflict
    if it was made with other settings.
    """

    def __init__(self, path: Path | str, made_with: str = "") -> None:
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = sqlite3.connect(path, timeout=30, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.executescript(_SCHEMA)
            self._bring_up_to_date()
        except sqlite3.OperationalError as error:
            raise Unavailable(f"signature store {path} cannot be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            raise IntegrityError(f"{path} is no signature store: {error}") from error
        self._check(path, made_with)

    @override
    @contextmanager
    def transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:
                yield
        except sqlite3.OperationalError as error:
            raise Unavailable(f"signature store cannot be written: {error}") from error
        except OverflowError as error:
            raise InvalidInput("number", str(error), "an integer of at most 64 bits") from error

    @override
    def record(self, arrival: Arrival, unless: str = "") -> bool:
        if self._connection.execute("SELECT 1 FROM arrivals WHERE candidate = ?", (unless,)).fetchone():
            return False
        identity = (arrival.candidate, arrival.run_id, arrival.cycle, arrival.index, arrival.submission)
        values = (*identity, arrival.scope, arrival.threshold, *_packed(arrival.features))
        graph = (arrival.graph_sha256, arrival.protocol_sha256)
        written = self._connection.execute(
            f"INSERT OR IGNORE INTO arrivals VALUES ({', '.join('?' * len(values))}, NULL, NULL, NULL, ?, ?)",  # noqa: S608
            values + graph,
        )
        return written.rowcount == 1

    @override
    def at_mark(self, run_id: str, cycle: int) -> Arrival | None:
        row = self._connection.execute(_AT_MARK, {"run": run_id, "cycle": cycle}).fetchone()
        return None if row is None else Arrival(*(*row[:7], _unpacked(*row[7:11]), *row[11:]))

    @override
    def settle(self, candidate: str, *, released_by: str, judged: CandidateJudged | None) -> None:
        said = None if judged is None else judged.model_dump_json()
        self._connection.execute(_SETTLE, {"by": released_by, "judged": said, "candidate": candidate})
        for move in _MOVE:
            self._connection.execute(move.format("candidate = ?"), (candidate,))

    @override
    def released_by(self, candidate: str) -> Sequence[CandidateJudged]:
        rows = self._connection.execute(
            "SELECT judged FROM arrivals WHERE released_by = ? AND position NOT NULL ORDER BY position", (candidate,)
        )
        return [CandidateJudged.model_validate_json(judged) for (judged,) in rows]

    @override
    def entries(self, after: int) -> Iterator[Entry]:
        for candidate, run_id, tokens, shingles, signature, *graph in self._connection.execute(_ENTRIES, (after,)):
            arrays = np.frombuffer(shingles, "<u8"), np.frombuffer(signature, "<u4")
            yield Entry(candidate, run_id, tokens, *arrays, *graph)

    @override
    def count(self) -> int:
        return int(self._connection.execute("SELECT coalesce(max(position) + 1, 0) FROM arrivals").fetchone()[0])

    @override
    def identical(self, entry: Entry, run_id: str | None) -> EntryPart | None:
        named = {"tokens": entry.tokens_sha256, "graph": entry.graph_sha256, "protocol": entry.protocol_sha256}
        row = self._connection.execute(_IDENTICAL, named | {"run": run_id}).fetchone()
        return None if row is None else EntryPart(row[0], row[1], np.frombuffer(row[2], "<u8"))

    @override
    def kept(self, positions: Sequence[int]) -> Sequence[EntryPart]:
        places = ", ".join("?" * len(positions))
        rows = self._connection.execute(
            f"SELECT position, candidate, shingles FROM sets WHERE position IN ({places})",  # noqa: S608
            positions,
        )
        return [
            EntryPart(position, candidate, np.frombuffer(shingles, "<u8")) for position, candidate, shingles in rows
        ]

    @override
    def segment(self, number: int) -> bytes | None:
        row = self._connection.execute("SELECT packed FROM segments WHERE number = ?", (number,)).fetchone()
        return None if row is None else bytes(row[0])

    @override
    def keep_segment(self, number: int, packed: bytes) -> None:
        self._connection.execute("INSERT OR REPLACE INTO segments VALUES (?, ?)", (number, packed))

    @override
    def close(self) -> None:
        self._connection.close()

    def _bring_up_to_date(self) -> None:
        there = {row[1] for row in self._connection.execute("PRAGMA table_info(arrivals)")}
        for name, kind in _LATER.items():
            if name not in there:
                self._connection.execute(f"ALTER TABLE arrivals ADD COLUMN {name} {kind}")
        self._connection.executescript(_GRAPHS)
        with self.transaction():
            (moved,) = self._connection.execute("PRAGMA user_version").fetchone()
            for move in _MOVE if not moved else ():
                self._connection.execute(move.format("shingles NOT NULL"))
            self._connection.execute("PRAGMA user_version = 1")

    def _check(self, path: Path | str, made_with: str) -> None:
        with self.transaction():
            row = self._connection.execute("SELECT settings FROM made_with").fetchone()
            if row is None:
                self._connection.execute("INSERT INTO made_with VALUES (?)", (made_with,))
            elif row[0] != made_with:
                raise Conflict(
                    f"signature store {path} was made with {row[0]}, not with {made_with}; use another store"
                )


def _packed(features: Features | None) -> tuple[str | bytes | None, ...]:
    if features is None:
        return (None,) * 4
    shingles, signature = features.shingles.astype("<u8"), features.signature.astype("<u4")
    return features.tokens_sha256, shingles.tobytes(), signature.tobytes(), features.family


def _unpacked(tokens: str | None, shingles: bytes, signature: bytes, family: str) -> Features | None:
    if tokens is None:
        return None
    return Features(tokens, np.frombuffer(shingles, "<u8"), np.frombuffer(signature, "<u4"), Family(family))
