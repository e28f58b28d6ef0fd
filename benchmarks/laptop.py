"""A pretrained LLM on a CPU that edits: tuned, frozen with a memory, and tuned with one. Writes the page of three runs.

archloop model pairs pairs.jsonl --count 160 --template short --protocol cifar10-mini --edits 1 --memory 0.5
archloop run --preset laptop --pairs pairs.jsonl --out runs/laptop
archloop run --preset memory.yaml --pairs pairs.jsonl --out runs/laptop-frozen
archloop run --preset together.yaml --pairs pairs.jsonl --out runs/laptop-together
python benchmarks/laptop.py runs/laptop runs/laptop-frozen runs/laptop-together

In memory.yaml is the preset `laptop` with `frozen: true`, `generation: {memory: all}`, and without `collapse`; in
together.yaml with `generation: {memory: all}` and `selection: {improving: true}`. What the page says below its tables is
kept.
"""

import argparse
import json
from pathlib import Path
from statistics import fmean
from typing import Any

from archloop.contracts.adapter import AdapterManifest
from benchmarks.demo import Summary, plot, table

PAGE, IMAGE = Path("docs/results/laptop.md"), Path("docs/images/laptop.svg")
SHOWS = "## What it shows"
NAMES = {"tuned": "tuned", "frozen": "frozen, with memory", "together": "tuned, with memory, improving edits"}
TEXT = """# A pretrained LLM on two cores, on real images

SmolLM2-135M-Instruct in preset `laptop`: {cycles} cycles of {candidates} on `cifar10-mini`. Tuned first on
{pairs} edits of the project's own seed networks. The seed program drew the networks of cycle 0, which are the same in
all runs; all others are the LLM's edits. The first run is tuned by the loop, the second a frozen control whose prompts
hold a memory. The third is tuned and has the memory, and learns only from edits that are better than their parents. By the commands in `benchmarks/laptop.py`; metrics as in [metrics](../reference/metrics.md).
{cores} cores. {note}

Tuning on the pairs first brought the loss from {first_loss:.2f} to {last_loss:.2f} nats a token (means of the first and
last tenth).

![Valid rate, accuracy and unique networks by cycle, of the three runs](../images/laptop.svg)

## Tuned, {tuned_s:.0f} s

{tuned}

{tuned_times}

## Frozen, with a memory, {frozen_s:.0f} s

{frozen}

{frozen_times}

## Tuned, with a memory, on improving edits, {together_s:.0f} s

{together}

{together_times}

Intervals are wide at {candidates} candidates a cycle: a valid rate of a half is known to within a quarter.

"""


def seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def times(summary: Summary) -> str:
    """What each cycle took, and how its candidates ended."""
    head = (
        "| cycle | generate, s | evaluate, s | tune, s | tokens | pairs | outcomes |\n|--:|--:|--:|--:|--:|--:|---|\n"
    )
    rows = []
    for cycle in summary["cycles"]:
        outcomes = ", ".join(f"{count} {name}" for name, count in cycle["outcomes"].items())
        took = " | ".join(seconds(cycle["seconds"][step]) for step in ("generate", "evaluate", "train"))
        pairs = cycle["pairs"] or "–"
        rows.append(f"| {cycle['cycle']} | {took} | {cycle['tokens']:,} | {pairs} | {outcomes} |")
    return head + "\n".join(rows)


def start_of(run: Path) -> AdapterManifest:
    """The adapter that the run began with."""
    (path,) = run.glob("blobs/adapters/*-start/manifest.json")
    return AdapterManifest.model_validate_json(path.read_text())


def page(folder: Path, runs: dict[str, Summary], note: str) -> str:
    """The page of the runs by name, of which the tuned one is in this folder."""
    start, manifest = start_of(folder), json.loads((folder / "manifest.json").read_text())
    spec: dict[str, Any] = manifest["spec"]
    tenth = max(1, len(start.loss_curve) // 10)
    told: dict[str, Any] = {}
    for name, summary in runs.items():
        told |= {f"{name}_s": summary["seconds"], name: table(summary), f"{name}_times": times(summary)}
    return TEXT.format(
        pairs=start.pair_count, cores=manifest["machine"]["cores"], note=note,
        cycles=spec["cycles"], candidates=spec["candidates"],
        first_loss=fmean(start.loss_curve[:tenth]), last_loss=fmean(start.loss_curve[-tenth:]), **told,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in NAMES:
        parser.add_argument(name, type=Path)
    parser.add_argument("--note", default="", help="under what load they were timed")
    options = parser.parse_args()
    runs = {name: json.loads((getattr(options, name) / "summary.json").read_text()) for name in NAMES}
    plot([{NAMES[name]: summary for name, summary in runs.items()}], IMAGE)
    _, found, kept = PAGE.read_text().partition(SHOWS)
    PAGE.write_text(page(options.tuned, runs, options.note) + found + kept)
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
