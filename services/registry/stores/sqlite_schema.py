"""The layout of the SQLite file, and how a file of an earlier version comes to it."""

import sqlite3
from pathlib import Path

from services.registry.stores.recording import require_known

_SCHEMA = Path(__file__).with_name("schema.sql")
_VERSION = 7
_FROM_1 = """
ALTER TABLE adapters RENAME TO adapters_of_cycles;
{schema}
INSERT INTO adapters SELECT * FROM adapters_of_cycles;
DROP TABLE adapters_of_cycles;
"""
# How far was asked is known by a run's uid since 4. Without it the rows tell: at worst something is asked for twice.
_FROM_3 = "DROP TABLE asked; {schema}"
# Since 5 a candidate may have a parent; since 6 people steer runs.
_ADDED = (
    ("candidates", "parent", "TEXT"),
    ("candidates", "submitter", "TEXT NOT NULL DEFAULT ''"),
    ("cycles", "steered", "TEXT"),
)
# Since 7 candidates are found by what stands in a table of its own, and by their words.
_BEFORE_7 = """
INSERT OR IGNORE INTO found (candidate_id, run_id, cycle, idx, parent, outcome, accuracy, verdict, family, similarity)
    SELECT candidate_id, run_id, cycle, idx, parent, outcome, accuracy, verdict, family, similarity FROM candidate_rows;
INSERT INTO code_words (rowid, words) SELECT number, code ->> 'text' FROM candidates JOIN found USING (candidate_id)
    WHERE code IS NOT NULL AND number NOT IN (SELECT rowid FROM code_words);
INSERT INTO error_words (rowid, words) SELECT number, evaluation ->> 'detail'
    FROM evaluations JOIN found USING (candidate_id)
    WHERE evaluation ->> 'detail' <> '' AND number NOT IN (SELECT rowid FROM error_words);
"""


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Bring the file to this version's layout, all of it or nothing. Raises InvalidInput for one of a later version."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    require_known(str(path), version, _VERSION)
    if version == _VERSION:  # a look at a registry in use must not wait for its writer
        return
    schema = _SCHEMA.read_text()
    script = {1: _FROM_1, 3: _FROM_3}.get(version, "{schema}").format(schema=schema)
    for table, column, kind in _ADDED:
        columns = {name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")}
        if columns and column not in columns:
            script = f"ALTER TABLE {table} ADD COLUMN {column} {kind}; {script}"
    db.executescript(f"BEGIN; {script}; {_BEFORE_7}; PRAGMA user_version = {_VERSION}; COMMIT;")
