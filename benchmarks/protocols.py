"""How well the offline protocols separate designs, how repeatably, and at what cost.

    python benchmarks/protocols.py [--networks 64] [--seeds 0 1] [--out benchmarks/results/protocols.json]

Networks are the seed program's, of every family and level of quality, none meant to fail. Each is scored by
the evaluator itself, in the sandbox, once per training seed.
"""

import argparse
import asyncio
import json
import os
import platform
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from archloop import protocols
from archloop.contracts.values import Evaluation, Family
from archloop.ops import logging
from archloop.protocols import Protocol
from services.evaluator.app import opened_evaluator
from services.evaluator.evaluator import Evaluator
from services.evaluator.secret import PUBLISHED
from services.evaluator.settings import EvaluatorSettings
from services.generator.seeds import write

COLUMNS = ("trained", "p10", "p50", "p90", "iqr", "chance", "share_ge_40", "spearman", "spearman_top", "cpu", "cpu_p90")


class Network(NamedTuple):
    """A network and the family it is of."""

    family: Family
    code: str


def networks(count: int) -> list[Network]:
    """The same for the same count: families in turn, as the seed program draws them."""
    return [_network(*divmod(index, len(Family))) for index in range(count)]


def _network(turn: int, place: int) -> Network:
    family = list(Family)[place]
    rng = random.Random(f"protocol study {family} {turn}")
    return Network(family, write(rng, family).code)


async def evaluate(evaluator: Evaluator, protocol: Protocol, nets: Sequence[Network], seed: int) -> list[Evaluation]:
    """Every network under the protocol with another training seed; as many at a time as the sandbox has slots."""
    seeded = protocol.model_copy(update={"seed": seed})
    return await asyncio.gather(*(evaluator.evaluate(net.code, seeded) for net in nets))


def summary(nets: Sequence[Network], rounds: Sequence[Sequence[Evaluation]], chance: float) -> dict[str, Any]:
    """The figures of one protocol, over the networks that trained under every seed."""
    trained = [i for i in range(len(nets)) if all(one[i].accuracy is not None for one in rounds)]
    accuracy = np.array([[one[i].accuracy for i in trained] for one in rounds])
    cpu = np.array([[one[i].cpu_seconds for i in trained] for one in rounds])
    mean = accuracy.mean(axis=0)
    p10, p25, p50, p75, p90 = np.quantile(accuracy, (0.1, 0.25, 0.5, 0.75, 0.9))
    families = [nets[i].family for i in trained]
    return {
        "trained": len(trained),
        "p10": p10,
        "p50": p50,
        "p90": p90,
        "iqr": p75 - p25,
        "chance": (accuracy <= chance).mean(),
        "share_ge_40": (accuracy >= 0.4).mean(),
        "spearman": agreement(accuracy),
        "spearman_top": agreement(accuracy[:, mean >= np.median(mean)]),
        "cpu": cpu.mean(),
        "cpu_p90": np.quantile(cpu, 0.9),
        "best": {name: max(m for m, family in zip(mean, families, strict=True) if family == name) for name in Family},
    }


def agreement(accuracy: NDArray[np.float64]) -> float:
    """Spearman's rank correlation between the first two training seeds; NaN if there is but one."""
    return float(spearmanr(accuracy[0], accuracy[1]).statistic) if len(accuracy) > 1 else float("nan")


async def study(names: Iterable[str], count: int, seeds: Sequence[int]) -> dict[str, Any]:
    """Results by protocol, with what is needed to judge and repeat them."""
    nets, results = networks(count), {}
    async with opened_evaluator(EvaluatorSettings(heldout_secret=PUBLISHED)) as evaluator:
        for name in names:
            protocol = protocols.load(name)
            rounds = [await evaluate(evaluator, protocol, nets, seed) for seed in seeds]
            figures = summary(nets, rounds, protocol.below_chance_factor / protocol.dataset.classes)
            rows = [[one.model_dump(include={"outcome", "accuracy", "cpu_seconds"}) for one in many] for many in rounds]
            results[name] = {"protocol_sha256": protocol.sha256, **figures, "evaluations": rows}
            print(row(name, figures), flush=True)
    return {"machine": machine(), "networks": count, "seeds": list(seeds), "protocols": results}


def machine() -> dict[str, Any]:
    """Where it ran, and how busy that was at the end: CPU seconds grow with the load of neighbours."""
    return {"cores": os.cpu_count(), "load": os.getloadavg(), "arch": platform.machine(), "torch": torch.__version__}


def row(name: str, figures: dict[str, Any]) -> str:
    """One line of the table."""
    return "| " + " | ".join([name, *(f"{figures[key]:.3g}" for key in COLUMNS)]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=64)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--protocols", nargs="+", default=["digits", "mnist5k", "shapes"])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/protocols.json"))
    options = parser.parse_args()
    logging.configure(level="WARNING", json=False)
    print("| protocol | " + " | ".join(COLUMNS) + " |\n|" + "---|" * (len(COLUMNS) + 1))
    results = asyncio.run(study(options.protocols, options.networks, options.seeds))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
