"""Is a network scored the same in both precisions and both memory formats? Five known-good ones on CIFAR-10.

    archloop data prepare cifar10
    python benchmarks/conditions.py --data ~/.cache/archloop/data [--seeds 0 1 2 3]

The protocol is `cifar10` with fewer images; the evaluator is the real one, by the published secret. What was measured
of the same images before is not measured again.
Writes benchmarks/results/conditions.json and docs/results/conditions.md.
"""

import argparse
import asyncio
import json
import os
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t

from archloop import protocols
from archloop.ops import logging
from archloop.protocols import Protocol
from services.evaluator.app import opened_evaluator
from services.evaluator.datasets import prepared
from services.evaluator.evaluator import Evaluator
from services.evaluator.secret import PUBLISHED
from services.evaluator.settings import EvaluatorSettings
from tests.known_good import SOURCES

RESULT, PAGE = Path("benchmarks/results/conditions.json"), Path("docs/results/conditions.md")
COUNTS = {"train": 10_000, "validation": 2_000, "test": 2_000}
CONDITIONS = list(product((None, "bfloat16"), (None, "channels_last")))
NAMES = [f"{precision or 'float32'}, {layout or 'contiguous'}" for precision, layout in CONDITIONS]
TEXT = """# One network, four conditions

`python benchmarks/conditions.py`: five networks of tests/known_good.py under `cifar10`'s settings with
{train:,} training and {validation:,} validation images, in float32 and bfloat16, contiguous and channels_last,
with {seeds} training seeds. The images are {source}.
One slot for each of {cores} cores, which others used too; torch {torch}.

Accuracy, mean of the seeds; chance is .100:

| network | {names} |
|---|{rule}
{rows}

Against {base}, network by network and seed by seed:

| condition | mean difference, 95 % interval | largest of one network and seed |
|---|---|---|
{differences}

Two seeds of one network under the same condition differ by {between:.3f} (root of the mean square). {verdict}

CPU seconds of an evaluation, median:
{seconds}.

`viewing` calls `view` on feature maps, which channels_last does not bear: there it was trained contiguously, and its
evaluations say so.
"""
Row = dict[str, Any]


def protocol() -> Protocol:
    """`cifar10` with fewer images."""
    full = protocols.load("cifar10")
    return full.model_copy(update={"dataset": full.dataset.model_copy(update=COUNTS)})


async def measure(data: Path, seeds: Sequence[int], known: Iterable[Row]) -> list[Row]:
    """A row for every network, condition and seed."""
    found = {(one["net"], one["condition"], one["seed"]): one for one in known}
    cells = list(product(SOURCES, NAMES, seeds))
    async with opened_evaluator(EvaluatorSettings(data_dir=data, heldout_secret=PUBLISHED)) as evaluator:
        fresh = await asyncio.gather(*(row(evaluator, *cell) for cell in cells if cell not in found))
    found |= {(one["net"], one["condition"], one["seed"]): one for one in fresh}
    return [found[cell] for cell in cells]


async def row(evaluator: Evaluator, net: str, condition: str, seed: int) -> Row:
    precision, layout = CONDITIONS[NAMES.index(condition)]
    changed = protocol().model_copy(update={"precision": precision, "memory_format": layout, "seed": seed})
    told = await evaluator.evaluate(SOURCES[net], changed)
    kept = {"outcome", "detail", "accuracy", "test_accuracy", "precision", "memory_format", "cpu_seconds", "parameters"}
    found = {"net": net, "condition": condition, "seed": seed, **told.model_dump(include=kept)}
    print(*found.values(), flush=True)
    return found


def page(result: dict[str, Any]) -> str:
    accuracy = table(result["rows"])
    differences = accuracy - accuracy[:, :1]
    apart = [interval(differences[:, i]) for i in range(1, len(NAMES))]
    within = all(low <= 0 <= high for _, low, high in apart)
    return TEXT.format(
        **COUNTS,
        **{name: result[name] for name in ("source", "cores", "torch")},
        seeds=accuracy.shape[2],
        base=NAMES[0],
        names=" | ".join(NAMES),
        rule="---|" * len(NAMES),
        rows="\n".join(line(net, means) for net, means in zip(SOURCES, accuracy.mean(2), strict=True)),
        differences="\n".join(
            f"| {name} | {mean:+.4f} ({low:+.4f} to {high:+.4f}) | {np.abs(differences[:, i]).max():.3f} |"
            for i, (name, (mean, low, high)) in enumerate(zip(NAMES[1:], apart, strict=True), start=1)
        ),
        between=np.sqrt(2 * accuracy.var(axis=2, ddof=1).mean()),
        verdict="Every interval holds 0." if within else "Not every interval holds 0.",
        seconds=seconds(result["rows"]),
    )


def table(rows: Iterable[Row]) -> NDArray[np.float64]:
    """Accuracies by network, condition and seed; what has none counts as 0."""
    ordered = [one["accuracy"] or 0.0 for one in rows]
    return np.array(ordered).reshape(len(SOURCES), len(NAMES), -1)


def interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """The mean and its 95 % interval, by Student's t."""
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(values.size)
    reach = float(t.ppf(0.975, values.size - 1)) * error
    return float(mean), float(mean - reach), float(mean + reach)


def line(name: str, values: Iterable[float]) -> str:
    return f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |"


def seconds(rows: Sequence[Row]) -> str:
    by_name = {name: np.median([one["cpu_seconds"] for one in rows if one["condition"] == name]) for name in NAMES}
    return "; ".join(f"{value:.1f} in {name}" for name, value in by_name.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of prepared data sets")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(4)))
    parser.add_argument("--source", help="what the images are; else as the data set says")
    options = parser.parse_args()
    logging.configure(level="WARNING", json=False)
    manifest = prepared.manifest(options.data / "cifar10")
    before = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    known = before["rows"] if before.get("sha256") == manifest.sha256 else []
    result = {
        "source": options.source or manifest.source,
        "sha256": manifest.sha256,
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "rows": asyncio.run(measure(options.data, options.seeds, known)),
    }
    for path, text in ((RESULT, json.dumps(result, indent=1) + "\n"), (PAGE, page(result))):
        path.write_text(text)
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
