"""The pairs that a run begins with: read as the trainer reads them, and put where it finds them."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from archloop import presets, training_pairs
from archloop.blobs.port import Blobs
from archloop.contracts.spec import BootstrapSpec, RunSpec
from archloop.contracts.values import BlobRef
from archloop.errors import InvalidInput, NotFound
from archloop.training_pairs import TrainingPair
from services.registry.control import pairs


def read(path: Path) -> list[TrainingPair]:
    """One JSON object a line. Raises NotFound, InvalidInput that names the line."""
    if not path.exists():  # it may be a pipe
        raise NotFound("file of pairs", str(path))
    return training_pairs.read(path)


def expected(spec: RunSpec) -> RunSpec:
    """Return the spec of a run that is to begin with pairs. Raises InvalidInput where it cannot."""
    if spec.bootstrap is not None:
        return spec
    return presets.checked(spec.model_dump() | {"bootstrap": {}}, source="--pairs")


def stored(spec: RunSpec, found: Sequence[TrainingPair], blobs: Blobs) -> RunSpec:
    """Store these pairs, and return the spec of a run that begins with them."""
    lines = [pair.line(compact=True) for pair in found]
    return beginning(spec, asyncio.run(pairs.put_bootstrap(blobs, lines)), len(lines))


def beginning(spec: RunSpec, found: BlobRef, count: int) -> RunSpec:
    """Return the spec with these pairs, replayed if it says so."""
    bootstrap = spec.bootstrap or BootstrapSpec()
    return spec.model_copy(update={"bootstrap": bootstrap.model_copy(update={"pairs": found, "count": count})})


def require(spec: RunSpec) -> None:
    """Raise InvalidInput where the spec wants pairs and has none."""
    if spec.bootstrap is not None and spec.bootstrap.pairs is None:
        raise InvalidInput(
            "--pairs", None, "a file of pairs, as `archloop lemur pairs` and `archloop model pairs` make it"
        )
