"""The protocols of `differential.py`, and what of them the plain loop is told."""

import json
from pathlib import Path

import numpy as np

from archloop.protocols import Protocol
from archloop.protocols.model import DatasetSpec, Hyperparameters, Limits
from services.evaluator.datasets import Dataset

EASY = {"colour_cue": 0.9, "noise": 0.03, "clutter": 0, "radius": (0.34, 0.46)}
GIB = 1024**3


def protocol(name: str, side: int, train: int, heldout: int, batch: int, limits: Limits) -> Protocol:
    """One epoch on few images; nothing but an error tells two networks apart by their outcome."""
    images = DatasetSpec(
        name="shapes", shape=(3, side, side), classes=10, train=train, validation=heldout, test=heldout, options=EASY
    )
    return Protocol(
        name=name,
        description="Of the differential benchmark.",
        dataset=images,
        batch=batch,
        hyperparameters=Hyperparameters(),
        below_chance_factor=1,
        limits=limits,
    )


_SHORT = Limits(cpu_seconds=45, wall_seconds=300, memory_bytes=4 * GIB)
_LONG = Limits(cpu_seconds=300, wall_seconds=1200, memory_bytes=4 * GIB)
MODES = {
    "batch": protocol("differential-batch", 32, 4, 2, 4, _SHORT),
    "larger": protocol("differential-larger", 64, 4, 2, 4, _SHORT),
    "epoch": protocol("differential-epoch", 32, 256, 100, 16, _LONG),
}


def export(protocol: Protocol, dataset: Dataset, folder: Path) -> None:
    """What the plain loop needs to know, in files: the same images, values and, a third of them, limits."""
    arrays = ("train_images", "train_labels", "heldout_images", "heldout_labels", "mean", "std")
    np.savez(folder / "data.npz", **{name: getattr(dataset, name) for name in arrays})
    settings = {
        "batch": protocol.batch,
        "epochs": protocol.epochs,
        "classes": protocol.dataset.classes,
        "validation": dataset.validation,
        "prm": {
            **protocol.hyperparameters.model_dump(),
            "batch": protocol.batch,
            "epoch": protocol.epochs,
            "epoch_max": protocol.epochs,
            "transform": "norm",
        },
        "limits": {
            "memory_bytes": protocol.limits.memory_bytes,
            "cpu_seconds": int(protocol.limits.cpu_seconds / 3),
            "wall_seconds": protocol.limits.wall_seconds,
        },
    }
    (folder / "settings.json").write_text(json.dumps(settings))
