"""`archloop run` on CIFAR-10 with everything on the GPU, and its frozen control: the cycles that there is time for."""

import json
from functools import partial
from pathlib import Path

import yaml

from archloop import protocols
from benchmarks.gpu.data import IMAGES, prepared
from benchmarks.gpu.given import Figures, Given, command

_START_S = 45.0  # to begin and to report, of each run


async def measure(given: Given) -> None:
    root = await prepared(given)
    protocol = _protocol(given)
    for name, more in (("loop", []), ("frozen", ["--frozen"])):
        parts = 2 if name == "loop" else 1
        await given.step(name, partial(_run, given, name, root, protocol, given.left() / parts, more))


def _protocol(given: Given) -> Path:
    """Write `cifar10`'s protocol over the prepared images; of those, fewer than there are when dry."""
    full = protocols.load("cifar10").model_dump(mode="json", exclude_none=True)
    counts = {"train": 80, "validation": 40, "test": 40} if given.data is None else {"train": 20_000}
    full |= {"name": "gpu", "dataset": {**full["dataset"], "name": IMAGES, **counts}}
    if given.data is None:
        full |= {"batch": 16}
    path = given.folder / "protocol.yaml"
    path.write_text(yaml.safe_dump(full))
    return path


async def _run(given: Given, name: str, root: Path, protocol: Path, seconds: float, more: list[str]) -> Figures:
    """Run as many cycles as the seconds allow."""
    out = given.folder / name
    sizes = {"cycles": given.few(2, 6), "candidates": given.few(4, 24)}
    preset = given.folder / f"{name}.yaml"
    preset.write_text(yaml.safe_dump({
        "preset": "gpu", "protocol": str(protocol), "base_model": given.model or "tiny", **sizes,
        "selection": {"threshold": 0.15, "fallback_threshold": 0.12, "minimum": 2},
    }))  # fmt: skip
    devices = ["--devices", "cpu" if given.dry else given.gpu]
    budget = [] if given.dry else ["--budget", f"wall_seconds={max(30.0, seconds - _START_S):.0f}"]
    run = ["-m", "archloop_cli", "run", "--preset", preset, "--out", out, *devices, *budget, *more]
    await command(*run, ARCHLOOP_EVALUATOR_DATA_DIR=str(root))
    return _summarised(out)


def _summarised(out: Path) -> Figures:
    """Return what matters of the run's summary."""
    summary = json.loads((out / "summary.json").read_text())
    kept = ("generated", "valid", "mean_accuracy", "best_accuracy", "novel", "admitted", "pairs", "seconds")
    cycles = {
        f"cycle {cycle['cycle']}": {name: cycle[name] for name in kept if cycle[name] is not None}
        for cycle in summary["cycles"]
    }
    return {"reason": summary["reason"], "seconds": summary["seconds"], **cycles}
