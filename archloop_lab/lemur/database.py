"""nn-dataset's SQLite database as a source: its tables `nn`, `stat` and `prm`."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from archloop.errors import InvalidInput
from archloop_lab.lemur import items
from archloop_lab.lemur.items import FIRST, Item, Problem
from archloop_lab.lemur.rules import Config

_MAGIC = b"SQLite format 3\0"
_STAT = "SELECT id, prm, task, dataset, metric, nn, transform, accuracy, duration FROM stat WHERE epoch = ? ORDER BY id"
_PRM = "SELECT uid, name, value FROM prm WHERE uid IN (SELECT prm FROM stat WHERE epoch = ?)"


def is_database(path: Path) -> bool:
    """Tell whether the file is one of SQLite's."""
    with path.open("rb") as content:
        return content.read(len(_MAGIC)) == _MAGIC


class Database:
    """See Source. Only read. Raises InvalidInput if it is no database of nn-dataset."""

    def __init__(self, path: Path) -> None:
        self._path = path
        sizes = self._rows("SELECT (SELECT count(*) FROM nn), (SELECT count(*) FROM stat WHERE epoch = ?)", (FIRST,))
        self._size = int(sum(next(sizes)))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[list[Item]]:
        for name, code in self._rows("SELECT name, code FROM nn ORDER BY name"):
            usable = isinstance(name, str) and isinstance(code, str)
            place = f"nn {name!r:.80}"
            yield [items.written(name, code, place) if usable else Problem("not text", place)]
        prms = self._prms()
        for row in self._rows(_STAT, (FIRST,)):
            yield [_trial(row, prms)]

    def _prms(self) -> dict[str, dict[str, Any]]:
        prms: dict[str, dict[str, Any]] = defaultdict(dict)
        for uid, name, value in self._rows(_PRM, (FIRST,)):
            prms[uid][name] = value
        return prms

    def _rows(self, sql: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        try:
            with closing(sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
                yield from connection.execute(sql, values)
        except sqlite3.Error as error:
            expected = f"a database of nn-dataset, with tables nn, stat and prm ({error})"
            raise InvalidInput("SOURCE", str(self._path), expected) from error


def _trial(row: tuple[Any, ...], prms: dict[str, dict[str, Any]]) -> Item:
    name, uid, *config, transform, accuracy, duration = row
    if not all(isinstance(part, str) for part in (name, uid, *config)):
        return Problem("malformed trial", f"stat {name!r:.80}", "a name is no text")
    measured = {"uid": uid, "transform": transform, "accuracy": accuracy, "duration": duration}
    return items.trial(Config(*config), prms.get(uid, {}) | measured, f"stat {name}", name)
