"""The manifest of a run's directory: written once, sealed by its own hash, and believed whole or not at all."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from archloop import presets
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import sha256_of
from archloop.errors import IntegrityError, NotFound
from archloop_cli import outputs
from services.registry.store import Store

FILE = "manifest.json"
SEAL = "sha256"
_AGAIN = "it stays as the run wrote it; what is to be otherwise is another run, in another directory"


class Stored(NamedTuple):
    """The run that a directory holds, and all that its manifest says."""

    run_id: str
    spec: RunSpec
    content: dict[str, Any]


def write(directory: Path, content: Mapping[str, Any]) -> None:
    """Whole or not at all, with its seal."""
    outputs.write_json(directory / FILE, {**content, SEAL: seal(content)})


def seal(content: Mapping[str, Any]) -> str:
    """The hash of what a manifest says; spaces and line ends between its parts say nothing."""
    said = {key: value for key, value in content.items() if key != SEAL}
    return sha256_of(json.dumps(said, sort_keys=True, separators=(",", ":")))


def of(directory: Path) -> Stored:
    """Of a run's directory. Raises NotFound where it has none, IntegrityError that names it where it is not whole."""
    path = directory / FILE
    if not path.is_file():
        raise NotFound("run directory (one with a manifest.json)", str(directory))
    return read(path)


def read(path: Path) -> Stored:
    """A manifest file. Raises NotFound, IntegrityError, InvalidInput that names the field that is not valid."""
    content: dict[str, Any] = outputs.read_json(path)
    if content.get("schema_version", 1) != 1 or not isinstance(content.get("run_id"), str):
        raise IntegrityError(f"{path} is no manifest of a run that this version of Archloop can read")
    # Runs of before have no seal; those are held against their registry only.
    if SEAL in content and content[SEAL] != seal(content):
        raise IntegrityError(f"{path} was changed since the run began: {_AGAIN}")
    return Stored(content["run_id"], presets.checked(content.get("spec"), source=str(path)), content)


async def agreed(directory: Path, store: Store) -> Stored:
    """The manifest, held against what the registry of the same directory recorded. Raises IntegrityError."""
    stored = of(directory)
    recorded = await store.run(stored.run_id)
    others = [] if recorded is not None else (await store.runs(limit=1)).items
    if others:
        raise IntegrityError(f"{directory / FILE} names run {stored.run_id}, the registry beside it {others[0].run_id}")
    if recorded is not None and recorded.spec != stored.spec:
        then, now = recorded.spec.model_dump(), stored.spec.model_dump()
        field = next(key for key, value in then.items() if value != now[key])
        raise IntegrityError(f"{directory / FILE}: {field} is not what the registry beside it recorded: {_AGAIN}")
    return stored
