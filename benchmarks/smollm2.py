"""A pretrained LLM on a CPU, tuned by the loop and frozen: writes the tables of two runs that are there.

archloop model pairs pairs.jsonl --count 192 --template short
archloop run --preset smollm2 --pairs pairs.jsonl --out runs/smollm2
archloop run --preset smollm2 --pairs pairs.jsonl --frozen --out runs/smollm2-frozen
python benchmarks/smollm2.py runs/smollm2 runs/smollm2-frozen
"""

import argparse
import json
from pathlib import Path
from typing import Any

from archloop.contracts.adapter import AdapterManifest
from benchmarks.demo import Summary, plot, table

PAGE, IMAGE = Path("docs/results/smollm2.md"), Path("docs/images/smollm2.svg")
TEXT = """# SmolLM2 on a CPU

SmolLM2-135M-Instruct, tuned on {pairs} pairs of the project's own seed networks and then by the loop, and a frozen
control that begins with the same adapter. By the commands in `benchmarks/smollm2.py`; metrics as in
[metrics](../reference/metrics.md). {cores} cores. {note}

Tuning on the pairs first brought the loss from {first_loss:.2f} to {last_loss:.2f} nats a token.

![Valid rate, accuracy and unique networks by cycle, tuned and frozen](../images/smollm2.svg)

## Tuned, {tuned_s:.0f} s

{tuned}

{tuned_times}

## Frozen, {frozen_s:.0f} s

{frozen}

{frozen_times}

Intervals are wide at {candidates} candidates a cycle: a valid rate of a half is known to within a fifth of either side.
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
    (path,) = run.glob("blobs/adapters/start-*/manifest.json")
    return AdapterManifest.model_validate_json(path.read_text())


def page(run: Path, tuned: Summary, frozen: Summary, note: str) -> str:
    start, manifest = start_of(run), json.loads((run / "manifest.json").read_text())
    spec: dict[str, Any] = manifest["spec"]
    return TEXT.format(
        pairs=start.pair_count, cores=manifest["machine"]["cores"], note=note, candidates=spec["candidates"],
        first_loss=start.loss_curve[0], last_loss=start.loss_curve[-1],
        tuned_s=tuned["seconds"], tuned=table(tuned), tuned_times=times(tuned),
        frozen_s=frozen["seconds"], frozen=table(frozen), frozen_times=times(frozen),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tuned", type=Path)
    parser.add_argument("frozen", type=Path)
    parser.add_argument("--note", default="", help="under what load it was timed")
    options = parser.parse_args()
    tuned, frozen = (json.loads((run / "summary.json").read_text()) for run in (options.tuned, options.frozen))
    plot([{"tuned": tuned, "frozen": frozen}], IMAGE)
    PAGE.write_text(page(options.tuned, tuned, frozen, options.note))
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
