"""What a run leaves for people: summary.json, manifest.json, report.html."""

import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from archloop import __version__, models, protocols
from archloop.contracts.spec import RunSpec
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
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(path)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
