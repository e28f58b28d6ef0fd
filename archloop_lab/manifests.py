"""The manifest of a run: written once, sealed by its own hash, and believed whole or not at all."""

import json
import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from archloop import __version__, models, presets, protocols
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import sha256_of
from archloop.errors import IntegrityError
from archloop_lab import files, heldout

SEAL = "sha256"
AGAIN = "it stays as the run wrote it; what is to be otherwise is another run, in another directory"

_OBJECTS = ("spec", "protocol", "base_model", "libraries", "machine", "placement")
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


class Manifest(NamedTuple):
    """The run that it is of, and all that it says."""

    run_id: str
    spec: RunSpec
    content: dict[str, Any]


def content_of(run_id: str, spec: RunSpec) -> dict[str, Any]:
    """Collect everything that a rerun needs: code, protocol, model, libraries, machine. Seeds are in the spec.

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


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write it whole or not at all, with its seal."""
    files.write_json(path, {**content, SEAL: seal(content)})


def seal(content: Mapping[str, Any]) -> str:
    """Hash what a manifest says; spaces and line ends between its parts say nothing."""
    said = {key: value for key, value in content.items() if key != SEAL}
    return sha256_of(json.dumps(said, sort_keys=True, separators=(",", ":")))


def read(path: Path) -> Manifest:
    """Read a manifest file. Raises NotFound, IntegrityError, InvalidInput that names the field that is not valid."""
    content: dict[str, Any] = files.read_json(path)
    is_whole = all(isinstance(content.get(name, {}), dict) for name in _OBJECTS)
    if content.get("schema_version", 1) != 1 or not isinstance(content.get("run_id"), str) or not is_whole:
        raise IntegrityError(f"{path} is no manifest of a run that this version of Archloop can read")
    # Runs of before have no seal; those are held against their registry only.
    if SEAL in content and content[SEAL] != seal(content):
        raise IntegrityError(f"{path} was changed since the run began: {AGAIN}")
    return Manifest(content["run_id"], presets.checked(content.get("spec"), source=str(path)), content)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
