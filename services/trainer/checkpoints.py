"""Checkpoints of running trainings, so that a killed one goes on where it was.

The optimiser's and the generators' states are torch files, which transformers loads with `weights_only`. Still, only
what this service wrote is ever loaded: from a folder that is its user's alone, named by everything that went into the
job, so that a job never goes on from another's state. The adapter itself is in safetensors.
"""

import json
import shutil
from importlib.metadata import version
from pathlib import Path

from archloop.adapters import WEIGHTS_FILE
from archloop.contracts.messages import TrainingRequested
from archloop.contracts.values import sha256_of

_LAST_WRITTEN = "trainer_state.json"
_NEEDED = (WEIGHTS_FILE, "optimizer.pt", "scheduler.pt", _LAST_WRITTEN)
_READERS = ("torch", "transformers", "peft", "trl")


def folder(work_dir: Path | None, message: TrainingRequested, job_sha256: str) -> Path | None:
    """Make the private folder of this job's checkpoints.

    None where nothing outlives the process, or where the engine leaves no checkpoints.
    """
    if work_dir is None or message.training.engine != "trl":
        return None
    own = work_dir / "checkpoints" / message.adapter / _key(job_sha256)
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    own.chmod(0o700)
    return own


def latest(checkpoints: Path) -> Path | None:
    """Return the newest complete checkpoint, if any; one that was cut off while it was written is ignored."""
    numbered = {int(path.name.rpartition("-")[2]): path for path in checkpoints.glob("checkpoint-*")}
    return next((numbered[step] for step in sorted(numbered, reverse=True) if _complete(numbered[step])), None)


def step_of(checkpoint: Path | None) -> int:
    """Return the step after which the checkpoint was written; 0 if there is none."""
    return int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0


def forget(checkpoints: Path | None) -> None:
    """Remove these checkpoints and those of earlier jobs of the same adapter name, which nobody will go on with."""
    if checkpoints is not None:
        shutil.rmtree(checkpoints.parent, ignore_errors=True)


def job_sha256(message: TrainingRequested, base_sha256: str) -> str:
    """Hash everything that is asked for: equal for the same training."""
    return _hash_of(
        {
            "base": [message.base_model, base_sha256],
            "parent": message.parent and message.parent.manifest.sha256,
            "pairs": message.pairs.sha256,
            "training": message.training.model_dump(mode="json"),
            "seed": message.seed,
        }
    )


def _key(job_sha256: str) -> str:
    return _hash_of({"job": job_sha256, "libraries": {name: version(name) for name in _READERS}})[:16]


def _hash_of(inputs: dict[str, object]) -> str:
    return sha256_of(json.dumps(inputs, sort_keys=True))


def _complete(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / _LAST_WRITTEN).read_text())
    except (OSError, ValueError):
        return False
    return all((checkpoint / name).is_file() for name in _NEEDED)
