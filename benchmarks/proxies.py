"""Which small part of CIFAR-10 ranks networks as a longer training would? Variants of images x side x batch x rate.

    archloop data prepare cifar10
    python benchmarks/proxies.py variants --data ~/.cache/archloop/data     # a few networks under every variant
    python benchmarks/proxies.py chosen --data …                           # all of them under the one that ships
    python benchmarks/proxies.py reference --data …                        # and through ten epochs

Networks are the five of tests/known_good.py, and the seed program's: its eight families in turn.
Each is scored by the evaluator itself, in the sandbox, by the published secret.
What is in the results already is not measured again, so that an interrupted stage goes on; `page` only writes the page.
Writes benchmarks/results/cifar10-mini.json and docs/results/cifar10-mini.md.
"""

import argparse
import asyncio
import json
import os
import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch

from archloop import protocols
from archloop.ops import logging
from archloop.protocols import Protocol
from archloop_lab import files
from benchmarks.protocols import networks
from benchmarks.proxies_page import page
from services.evaluator.app import opened_evaluator
from services.evaluator.datasets import prepared
from services.evaluator.evaluator import Evaluator
from services.evaluator.secret import PUBLISHED
from services.evaluator.settings import EvaluatorSettings
from tests.known_good import SOURCES

RESULT, PAGE = Path("benchmarks/results/cifar10-mini.json"), Path("docs/results/cifar10-mini.md")
Row = dict[str, Any]


class Variant(NamedTuple):
    """What distinguishes one proxy from another."""

    train: int
    side: int
    batch: int
    lr: float
    epochs: int = 1

    @property
    def name(self) -> str:
        """As it is called in the results."""
        return f"{self.train} x {self.side} px, batch {self.batch}, lr {self.lr:g}, {self.epochs} epochs"


VARIANTS = [
    Variant(2000, 32, 32, 0.02),
    Variant(4000, 16, 16, 0.02),
    Variant(4000, 16, 32, 0.02),
    Variant(8000, 16, 32, 0.02),
    Variant(4000, 16, 16, 0.01),
    Variant(4000, 16, 32, 0.05),
]
REFERENCE = Variant(4000, 16, 32, 0.02, epochs=10)
HELDOUT = {"validation": 2000, "test": 2000}


def protocol(variant: Variant) -> Protocol:
    """`cifar10` with what the variant changes, in float32 and without flips, which one epoch makes little use of."""
    full = protocols.load("cifar10")
    dataset = full.dataset.model_copy(update=HELDOUT | {"train": variant.train})
    rate = full.hyperparameters.model_copy(update={"lr": variant.lr})
    resize = variant.side if variant.side != dataset.shape[-1] else None
    changed = {"batch": variant.batch, "epochs": variant.epochs, "resize": resize, "hyperparameters": rate}
    plain = {"precision": None, "memory_format": None, "flip": False, "on_out_of_memory": None}
    return full.model_copy(update={"name": variant.name, "dataset": dataset} | changed | plain)


def codes(count: int) -> dict[str, str]:
    """The known-good networks, and as many of the seed program's as make up the count."""
    written = {f"{net.family}-{n // 8}": net.code for n, net in enumerate(networks(count - len(SOURCES)))}
    return SOURCES | written


async def measure(
    settings: EvaluatorSettings, wanted: Sequence[Protocol], nets: Mapping[str, str], result: Row
) -> None:
    """Score every network under every protocol of a seed, and keep each row as soon as it is there."""
    known = {(row["protocol"], row["net"], row["seed"]) for row in result["rows"]}
    async with opened_evaluator(settings) as evaluator:
        missing = [(p, n) for p, n in product(wanted, nets) if (p.name, n, p.seed) not in known]
        random.Random(0).shuffle(missing)  # so that what was done of a stage that ended early is a fair sample
        tasks = [asyncio.ensure_future(_row(evaluator, p, n, nets[n])) for p, n in missing]
        for task in asyncio.as_completed(tasks):
            row = await task
            result["rows"].append(row)
            print(*row.values(), flush=True)
            files.write_json(RESULT, result)


async def _row(evaluator: Evaluator, under: Protocol, name: str, code: str) -> Row:
    told = await evaluator.evaluate(code, under)
    kept = {"outcome", "accuracy", "test_accuracy", "parameters", "cpu_seconds"}
    return {"protocol": under.name, "net": name, "seed": under.seed, **told.model_dump(mode="json", include=kept)}


def seeded(chosen: Iterable[Protocol], seeds: Iterable[int]) -> list[Protocol]:
    """Each with each training seed."""
    return [one.model_copy(update={"seed": seed}) for one, seed in product(chosen, seeds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["variants", "chosen", "reference", "page"])
    parser.add_argument("--data", type=Path, required=True, help="the folder of prepared data sets")
    parser.add_argument("--networks", type=int, default=48)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--slots", type=int, default=os.cpu_count())
    parser.add_argument("--source", help="what the images are; else as the data set says")
    options = parser.parse_args()
    logging.configure(level="WARNING", json=False)
    manifest = prepared.manifest(options.data / "cifar10")
    before: Row = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    rows = before["rows"] if before.get("sha256") == manifest.sha256 else []
    source = options.source or before.get("source") or manifest.source
    result: Row = {"source": source, "sha256": manifest.sha256, "torch": torch.__version__, "rows": rows}
    mini = protocols.load("cifar10-mini")
    wanted = {
        "variants": seeded(map(protocol, VARIANTS), options.seeds),
        "chosen": seeded([mini], options.seeds),
        "reference": seeded([protocol(REFERENCE)], options.seeds[:1]),
        "page": [],
    }[options.stage]
    settings = EvaluatorSettings(data_dir=options.data, heldout_secret=PUBLISHED, slots=options.slots)
    if wanted:
        asyncio.run(measure(settings, wanted, codes(options.networks), result))
    PAGE.write_text(page(result, mini, protocol(REFERENCE).name, [one.name for one in VARIANTS]))
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
