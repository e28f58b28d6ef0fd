"""What a run leaves for people: summary.json, manifest.json, report.html."""

import json
import os
import platform
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from archloop import __version__, models, protocols
from archloop.contracts.spec import RunSpec
from archloop.errors import IntegrityError, NotFound
from archloop_cli import heldout

_LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "trl",
    "datasketch",
    "numpy",
    "scikit-learn",
    "huggingface_hub",
    "pydantic",
)


def manifest(run_id: str, spec: RunSpec) -> dict[str, Any]:
    """Everything that a rerun needs: code, protocol, model, libraries, machine. Seeds are in the spec.

    But for the secret of the held-out images, of which only the name is here. Raises Misconfigured.
    """
    protocol = protocols.load(spec.protocol)
    return {
        "schema_version": 1,
        "run_id": run_id,
        "archloop": __version__,
        "spec": spec.model_dump(mode="json"),
        "protocol": protocol.model_dump(mode="json") | {"sha256": protocol.sha256},
        heldout.FIELD: heldout.here(),
        "base_model": {"name": spec.base_model, "sha256": models.fingerprint(spec.base_model)},
        "libraries": {name: found for name in _LIBRARIES if (found := _version(name))},
        "machine": {
            "python": sys.version.split()[0],
            "system": platform.platform(),
            "processor": platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
        },
    }


def write_json(path: Path, content: Any) -> None:
    """Write whole or not at all: a reader never sees half a file."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """As UTF-8, whole or not at all. Raises OSError that names the file."""
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


def read_json(path: Path, kind: type = dict) -> Any:
    """What a run left: an object, or another kind of content. Raises NotFound, IntegrityError that names the file."""
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


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
