"""How does the evaluator cope with networks that it has never seen? Hundreds of LEMUR's architectures, by family.

    pip download --no-deps nn-dataset==2.1.2 && unzip -q -d lemur nn_dataset-2.1.2-*.whl
    python benchmarks/lemur.py lemur/ab/nn/nn --count 500 --protocol shapes

Draws from what LEMUR has trained on CIFAR-10, from every family of names equally many. Appends to
benchmarks/results/lemur500.jsonl, from which an interrupted run goes on, and writes docs/results/lemur500.md.
"""

import argparse
import asyncio
import json
import random
import re
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from archloop import protocols
from archloop.contracts.values import Evaluation, Outcome
from archloop.ops import logging
from archloop.protocols import Protocol
from archloop_cli.bars import bars
from services.evaluator.app import opened_evaluator
from services.evaluator.evaluator import Evaluator
from services.evaluator.secret import PUBLISHED
from services.evaluator.settings import EvaluatorSettings

RESULT, PAGE = Path("benchmarks/results/lemur500.jsonl"), Path("docs/results/lemur500.md")
GENERATED = ("ga", "FractalNet", "ast", "alt", "rag", "rl")
HAND_MADE = "made by hand"
TRAINED = "img-classification_cifar-10_acc_"
LONGEST_REASONS = 30
FIELDS = ("outcome", "stage", "detail", "accuracy", "test_accuracy", "parameters", "seconds", "cpu_seconds",
          "protocol_sha256")  # fmt: skip
TEXT = """# {count} architectures of LEMUR

Image classifiers of the LEMUR data set (package `nn-dataset` 2.1.2, `ab/nn/nn/*.py`) that LEMUR has trained on
CIFAR-10, by `benchmarks/lemur.py --count {wanted} --seed {seed} --protocol {protocol}`: equally many of every family
where it has so many. `{protocol}` is {train:,} images of {size}, {epochs} epoch in batches of {batch}, within
{cpu:g} s of CPU time and {memory:.1f} GiB, {slots} at a time. Every network got an outcome; the sandbox itself
failed at {failures}.

{families}

Seconds are the median, the 90 % quantile and the longest of one network; together they kept the slots busy for
{hours:.1f} hours.

## Why not ok

{reasons}

Numbers in the reasons are replaced by N.
"""
Line = dict[str, Any]


def family(name: str) -> str:
    prefix = name.partition("-")[0]
    return prefix if prefix in GENERATED else HAND_MADE


def drawn(folder: Path, count: int, seed: int) -> list[Path]:
    """The same for the same arguments: strata as equal as their sizes allow, in a random order."""
    rng = random.Random(seed)
    strata: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.glob("*.py")):
        if (folder.parent / "stat" / "train" / f"{TRAINED}{path.stem}").exists():
            strata[family(path.stem)].append(path)
    sizes = shares({name: len(paths) for name, paths in strata.items()}, count)
    chosen = [path for name, paths in sorted(strata.items()) for path in rng.sample(paths, sizes[name])]
    rng.shuffle(chosen)
    return chosen


def shares(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """How many of each: the smallest strata first, what they lack goes to the others."""
    taken: dict[str, int] = {}
    for left, name in zip(range(len(sizes), 0, -1), sorted(sizes, key=lambda name: (sizes[name], name)), strict=True):
        taken[name] = min(sizes[name], (count - sum(taken.values())) // left)
    return taken


async def score(evaluator: Evaluator, path: Path, protocol: Protocol) -> Line:
    """One line of the result; a failure of the sandbox is one too, and is tried again by the next run."""
    code = path.read_bytes().decode("utf-8", "surrogateescape")
    try:
        told: Evaluation = await evaluator.evaluate(code, protocol)
    except Exception as error:  # noqa: BLE001 - a failure of ours is to be counted, not to end an hour's work
        return {"name": path.stem, "family": family(path.stem), "outcome": "failed", "detail": str(error)}
    values = told.model_dump(mode="json", include=set(FIELDS))
    return {"name": path.stem, "family": family(path.stem), **{key: values[key] for key in FIELDS}}


async def evaluate(paths: Sequence[Path], protocol: Protocol, slots: int, result: Path) -> None:
    """Append a line for every network as it ends."""
    result.parent.mkdir(parents=True, exist_ok=True)
    async with opened_evaluator(EvaluatorSettings(slots=slots, heldout_secret=PUBLISHED)) as evaluator:
        tasks = [score(evaluator, path, protocol) for path in paths]
        with result.open("a") as out, bars() as advance:
            for done, task in enumerate(asyncio.as_completed(tasks), 1):
                out.write(json.dumps(await task) + "\n")
                out.flush()
                advance("evaluating", done, len(tasks))


def finished(result: Path, protocol: Protocol) -> set[str]:
    """Names of networks that need not be scored again."""
    return {name for name, line in read(result).items() if line.get("protocol_sha256") == protocol.sha256}


def read(result: Path) -> dict[str, Line]:
    """By name, the last line of each."""
    lines = result.read_text().splitlines() if result.exists() else []
    return {line["name"]: line for line in map(json.loads, lines)}


def reason(line: Line) -> str:
    """The detail without what differs from network to network."""
    detail = re.sub(r" \(line \d+\)$", "", line["detail"]).partition(", only torch")[0]
    return re.sub(r"\d+(?:\.\d+)?", "N", detail)[:120].replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (head, ["---"] * len(head), *rows))


def families(lines: Sequence[Line]) -> str:
    """Outcomes and seconds of each family, and of all."""
    outcomes = [name for name, _ in Counter(line["outcome"] for line in lines).most_common()]
    by_family: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        by_family[line["family"]].append(line)
    groups = [*sorted(by_family.items()), ("all", lines)]
    return table(["family", "networks", *outcomes, "seconds"], [_family(name, many, outcomes) for name, many in groups])


def _family(name: str, lines: Sequence[Line], outcomes: Sequence[str]) -> list[object]:
    counts = Counter(line["outcome"] for line in lines)
    seconds = sorted(line.get("seconds", 0.0) for line in lines)
    high = seconds[min(len(seconds) - 1, int(0.9 * len(seconds)))]
    took = f"{statistics.median(seconds):.1f} / {high:.1f} / {seconds[-1]:.0f}"
    return [name, len(lines), *(counts[outcome] or "" for outcome in outcomes), took]


def reasons(lines: Sequence[Line]) -> str:
    """The most frequent first."""
    counts = Counter((line["outcome"], reason(line)) for line in lines if line["outcome"] != Outcome.OK)
    rows = [(outcome, count, why or "–") for (outcome, why), count in counts.most_common(LONGEST_REASONS)]
    rest = sum(counts.values()) - sum(count for _, count, _ in rows)
    return table(["outcome", "networks", "reason"], [*rows, *([("others", rest, "each rarer")] if rest else [])])


def page(lines: Sequence[Line], options: argparse.Namespace, protocol: Protocol) -> str:
    channels, *sides = protocol.dataset.shape
    return TEXT.format(
        count=len(lines),
        wanted=options.count,
        seed=options.seed,
        protocol=options.protocol,
        train=protocol.dataset.train,
        size=f"{' x '.join(map(str, sides))} with {channels} channel(s)",
        epochs=protocol.epochs,
        batch=protocol.batch,
        cpu=protocol.limits.cpu_seconds,
        memory=protocol.limits.memory_bytes / 2**30,
        slots=options.slots,
        failures=sum(line["outcome"] == "failed" for line in lines) or "none",
        families=families(lines),
        hours=sum(line.get("seconds", 0.0) for line in lines) / 3600,
        reasons=reasons(lines),
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="ab/nn/nn of the unpacked wheel")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--protocol", default="shapes")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(), help="write below this folder instead")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    logging.configure(level="WARNING", json=False)
    protocol, result, target = protocols.load(options.protocol), options.out / RESULT, options.out / PAGE
    chosen, began = drawn(options.folder, options.count, options.seed), time.monotonic()
    done = finished(result, protocol)
    missing = [path for path in chosen if path.stem not in done]
    asyncio.run(evaluate(missing, protocol, options.slots, result))
    lines = read(result)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page([lines[path.stem] for path in chosen], options, protocol))
    print(target.read_text(), f"{len(missing)} networks in {(time.monotonic() - began) / 60:.1f} minutes", sep="\n")


if __name__ == "__main__":
    main()
