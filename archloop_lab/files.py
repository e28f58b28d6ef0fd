"""Files that are whole or not there, and what is wrong with one that is damaged."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, get_origin

from pydantic import TypeAdapter, ValidationError

from archloop.errors import IntegrityError, NotFound
from archloop.validation import expected

T = TypeVar("T")


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all: a reader never sees half a file."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, whole or not at all. Raises OSError that names the file."""
    partial = path.with_suffix(".partial")
    try:
        with partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


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
        content = json.loads(path.read_bytes().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{path} is damaged: byte {error.start} is not valid UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path} is damaged, or was cut off or edited: {error}") from error
    if not isinstance(content, kind):
        raise IntegrityError(f"{path} is damaged: it holds no {'object' if kind is dict else kind.__name__} of JSON")
    return content
