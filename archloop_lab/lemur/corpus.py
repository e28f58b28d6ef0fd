"""The corpus file: architectures, their first epochs, and what curation says of them, in SQLite."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from archloop.contracts.values import Family, sha256_of
from archloop.errors import Conflict, IntegrityError, NotFound, Unavailable
from archloop_lab.lemur.items import FIRST, Architecture, FirstEpoch, Problem
from archloop_lab.lemur.rules import TASK, nn_prefix

_SCHEMA = Path(__file__).with_name("corpus.sql")
_APPLICATION_ID, _VERSION = 0x4C454D55, 1
# At once, or who is killed meanwhile leaves what is no corpus.
_MADE = "BEGIN IMMEDIATE; {schema}; PRAGMA application_id = {application}; PRAGMA user_version = {version}; COMMIT;"
_PREFERRED = """
SELECT name, sha256, code FROM architectures LEFT JOIN (SELECT nn, max(accuracy) AS best FROM records GROUP BY nn)
ON nn = name ORDER BY best IS NULL, best DESC, length(code) DESC, name
"""
_CURATE = """
UPDATE architectures SET kept = :kept, why = :why, family = :family, cluster = :cluster, nearest = :nearest,
    similarity = :similarity WHERE name = :name
"""
_KEPT = """
SELECT name, code, family, cluster, EXISTS (SELECT 1 FROM records WHERE nn = name AND task = ?) AS classifies
FROM architectures WHERE kept ORDER BY name
"""

_TALLY = """
SELECT coalesce(family, ''), why, count(*) FROM architectures WHERE why NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
"""


class Preferred(NamedTuple):
    """An architecture as curation takes them, the best first."""

    name: str
    sha256: str
    code: str


class Curated(NamedTuple):
    """What curation says of an architecture: kept or why not, its family, its cluster by the best of it."""

    name: str
    kept: bool
    why: str
    family: Family | None = None
    cluster: str | None = None
    nearest: str | None = None
    similarity: float | None = None


class Kept(NamedTuple):
    """One that is to be learnt from; `classifies` if it has been trained to tell images apart."""

    name: str
    code: str
    family: Family
    cluster: str
    classifies: bool


class Corpus:
    """Raises IntegrityError if the file is something else, Unavailable if it is locked or cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._errors():
            self._db = sqlite3.connect(path, isolation_level=None)
            self._check()
            schema = _SCHEMA.read_text("utf-8")
            self._db.executescript(_MADE.format(schema=schema, application=_APPLICATION_ID, version=_VERSION))

    @classmethod
    def existing(cls, path: Path) -> "Corpus":
        """Open a corpus that is there. Raises NotFound where there is none."""
        if not path.is_file():
            raise NotFound("corpus", str(path), "`archloop lemur import SOURCE --out FILE` to make one")
        return cls(path)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all that is done in the block, or nothing."""
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            with self._db:
                yield

    def add(self, item: Architecture | FirstEpoch) -> Problem | None:
        """Take an item in, if it is not there already; return a problem where it does not go with what is there."""
        return self._add_architecture(item) if isinstance(item, Architecture) else self._add_first_epoch(item)

    def counts(self) -> tuple[int, int]:
        """Count architectures and records."""
        (row,) = self._rows("SELECT (SELECT count(*) FROM architectures), (SELECT count(*) FROM records)")
        return row[0], row[1]

    def preferred(self) -> list[Preferred]:
        """List all by best first-epoch accuracy on whatever data set; then the longer one, then by name."""
        return [Preferred(*row) for row in self._rows(_PREFERRED)]

    def curate(self, curated: Iterable[Curated]) -> None:
        """Write down what curation says."""
        with self.transaction():
            self._db.executemany(_CURATE, (each._asdict() for each in curated))

    def tally(self) -> list[tuple[str, str, int]]:
        """Count each family's ends by reason; the family is "" of what could not be read."""
        return [(family, why, count) for family, why, count in self._rows(_TALLY)]

    def kept(self) -> list[Kept]:
        """List what curation has kept, by name. Raises Conflict where something is not curated yet."""
        ((waiting,),) = self._rows("SELECT count(*) FROM architectures WHERE kept IS NULL")
        if waiting:
            raise Conflict(
                f"{waiting} architectures of {self._path} are not curated: `archloop lemur curate {self._path}`"
            )
        rows = self._rows(_KEPT, (TASK,))
        return [Kept(name, code, Family(kin), cluster, bool(trained)) for name, code, kin, cluster, trained in rows]

    def _add_architecture(self, found: Architecture) -> Problem | None:
        known = self._rows("SELECT code FROM architectures WHERE name = ?", (found.name,))
        if not known:
            values = (found.name, nn_prefix(found.name), sha256_of(found.code), found.code)
            self._db.execute("INSERT INTO architectures (name, prefix, sha256, code) VALUES (?, ?, ?, ?)", values)
        elif known[0][0] != found.code:
            return Problem("other code under this name", f"nn {found.name}", "what was there first stands")
        return None

    def _add_first_epoch(self, found: FirstEpoch) -> Problem | None:
        if not self._rows("SELECT 1 FROM architectures WHERE name = ?", (found.config.nn,)):
            return Problem("no such architecture", found.config.folder, found.id)
        values = (found.id, found.uid, *found.config, FIRST, found.accuracy, found.duration, json.dumps(found.prm))
        self._db.execute("INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        return None

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._errors():
            return self._db.execute(sql, values).fetchall()

    def _check(self) -> None:
        """Refuse a database of something else; a file without tables may become a corpus."""
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        fresh = not self._db.execute("SELECT 1 FROM sqlite_master").fetchone()
        if not fresh and (application, version) != (_APPLICATION_ID, _VERSION):
            raise IntegrityError(f"{self._path} is no corpus of LEMUR that this version of Archloop can read")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise Unavailable(f"corpus {self._path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise IntegrityError(f"{self._path} is no corpus: {error}") from error
