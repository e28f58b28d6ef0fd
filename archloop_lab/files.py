"""Files that are whole or not there, and what is wrong with one that is damaged."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, get_origin

from pydantic import TypeAdapter, ValidationError

from archloop import csv_lines
from archloop.errors import IntegrityError, NotFound
from archloop.sources import unmarked
from archloop.validation import expected

T = TypeVar("T")


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all: a reader never sees half a file."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, whole or not at all. Raises OSError that names the file."""
    _replace(path, path.with_suffix(".partial"), text.encode("utf-8", "backslashreplace"))


def write_named(path: Path, content: bytes) -> None:
    """Write what a user named: a file whole or not at all, also behind a link; a pipe or device as it is.

    Raises OSError that names it.
    """
    if path.is_relative_to("/dev") or (path.exists() and not path.is_file()):
        try:
            path.write_bytes(content)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
    else:
        target = path.resolve()
        _replace(target, target.with_name(f".{os.getpid()}.partial"), content, named=path)


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """Write CSV (RFC 4180) with a head, whole or not at all; text in it is text to a spreadsheet, too.

    Without `columns` these are the first row's.
    """
    rows = list(rows)
    names = list(columns or (rows[0] if rows else ()))
    lines = [csv_lines.line(row.get(name) for name in names) for row in rows]
    write_text(path, csv_lines.line(names) + "".join(lines))


def _replace(path: Path, partial: Path, content: bytes, *, named: Path | None = None) -> None:
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(named or path)) from error
    finally:
        with suppress(OSError):  # it has the file's own name by now, unless something went wrong
            partial.unlink(missing_ok=True)


def read_model(path: Path, model: type[T]) -> T:
    """Read what a run left as a model. Raises NotFound, IntegrityError that names the file and the field."""
    kind = list if get_origin(model) is list else dict
    try:
        return TypeAdapter(model).validate_python(read_json(path, kind))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise IntegrityError(f"{path} is damaged, or was edited: {field} should be {expected(first)}") from None


def read_json(path: Path, kind: type = dict) -> Any:
    """Read what a run left: an object, or another kind of content. Raises NotFound, IntegrityError that names it."""
    if not path.is_file():
        raise NotFound("file", str(path))
    try:
        content = json.loads(unmarked(path.read_bytes().decode("utf-8")))
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{path} is damaged: byte {error.start} is not valid UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path} is damaged, or was cut off or edited: {error}") from error
    if not isinstance(content, kind):
        raise IntegrityError(f"{path} is damaged: it holds no {'object' if kind is dict else kind.__name__} of JSON")
    return content
