"""A pretrained LLM on a CPU that edits: tuned, frozen with a memory, and tuned with one. Writes the page of four runs.

archloop model pairs pairs.jsonl --count 160 --template short --protocol cifar10-mini --edits 1 --memory 0.5
archloop run --preset laptop --pairs pairs.jsonl --out runs/tuned
archloop run --preset memory.yaml --pairs pairs.jsonl --out runs/frozen
archloop run --preset together.yaml --pairs pairs.jsonl --out runs/together
archloop run --preset steady.yaml --pairs pairs.jsonl --out runs/steady
python benchmarks/laptop.py runs

In memory.yaml is the preset `laptop` with `frozen: true`, `generation: {memory: all}`, and without `collapse`; in
together.yaml with `generation: {memory: all}` and `selection: {improving: true}`; in steady.yaml the same without
`collapse`. What the page says below its tables is kept.
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
NAMES = {
    "tuned": "tuned",
    "frozen": "frozen, with a memory",
    "together": "tuned, with a memory, on improving edits",
    "steady": "likewise, unwatched for collapse",
}
TEXT = """# A pretrained LLM on two cores, on real images

SmolLM2-135M-Instruct in preset `laptop`: {cycles} cycles of {candidates} on `cifar10-mini`. Tuned first on
{pairs} edits of the project's own seed networks. The seed program drew the networks of cycle 0, which are the same in
all runs; all others are the LLM's edits. The first run is tuned by the loop, the second a frozen control whose prompts
hold a memory. The third is tuned, has the memory, and learns from edits alone that are better than their parents; the
fourth likewise, and nothing is changed when the networks become alike.
By the commands in `benchmarks/laptop.py`; metrics as in [metrics](../reference/metrics.md).
{cores} cores. {note}

Tuning on the pairs first brought the loss from {first_loss:.2f} to {last_loss:.2f} nats a token (means of the first and
last tenth).

![Valid rate, accuracy and unique networks by cycle, of the four runs](../images/laptop.svg)

{runs}

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


def section(name: str, summary: Summary) -> str:
    title = NAMES[name]
    heading = f"## {title[0].upper()}{title[1:]}: {summary['seconds']:.0f} s"
    return "\n\n".join((heading, table(summary), times(summary)))


def page(folder: Path, runs: dict[str, Summary], note: str) -> str:
    """The page of the runs by name, of which the tuned one is in this folder."""
    start, manifest = start_of(folder), json.loads((folder / "manifest.json").read_text())
    spec: dict[str, Any] = manifest["spec"]
    tenth = max(1, len(start.loss_curve) // 10)
    return TEXT.format(
        pairs=start.pair_count, cores=manifest["machine"]["cores"], note=note,
        cycles=spec["cycles"], candidates=spec["candidates"],
        first_loss=fmean(start.loss_curve[:tenth]), last_loss=fmean(start.loss_curve[-tenth:]),
        runs="\n\n".join(section(name, summary) for name, summary in runs.items()),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help=f"holds the runs {', '.join(NAMES)}")
    parser.add_argument("--note", default="", help="under what load they were timed")
    options = parser.parse_args()
    runs = {name: json.loads((options.folder / name / "summary.json").read_text()) for name in NAMES}
    plot([{NAMES[name]: summary for name, summary in runs.items()}], IMAGE)
    _, found, kept = PAGE.read_text().partition(SHOWS)
    PAGE.write_text(page(options.folder / "tuned", runs, options.note) + found + kept)
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
